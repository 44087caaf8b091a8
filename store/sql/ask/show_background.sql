-- Count probes, scrapes and the like in what this reader is asked (see the macro `counts_background`).
set variable show_background = true

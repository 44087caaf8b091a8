/* The find box of the graph: marks while people type, tells the server when they pause.

   An input of our own: Dash's puts caret and value back after each answer, and letters typed meanwhile
   land in the wrong place. What must stay true: nothing writes the box while it is typed into. */
(function () {
  "use strict";
  const sidelight = (window.sidelight = window.sidelight || {});
  const dash = () => window.dash_clientside;
  const PAUSE_MS = 250;
  let box = null, pause = 0, told = null;

  function mount() {
    box = document.createElement("input");
    Object.assign(box, { id: "find-box", type: "search", placeholder: "Find   /", className: "find", maxLength: 200 });
    box.setAttribute("aria-label", "Find in the graph");
    box.addEventListener("input", () => {
      sidelight.mark();
      clearTimeout(pause);
      pause = setTimeout(() => dash().set_props("find", { data: (told = box.value) }), PAUSE_MS);
    });
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter") sidelight.showFound();
    });
    document.getElementById("find-slot").append(box);
  }

  // The words to mark, in small letters; "" for none.
  sidelight.sought = () => (box ? box.value.trim().toLowerCase() : "");

  // The store changed: by typing here, or because somebody came with a link.
  sidelight.seek = function (text) {
    if (!box) mount();
    if (text === told) return;
    clearTimeout(pause);
    box.value = told = text || "";
    sidelight.mark();
  };
})();

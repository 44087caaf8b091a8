-- Which keys of `counts` are met for the first time.
select distinct peer_key from counts where peer_key not in (select peer_key from {{peers}})

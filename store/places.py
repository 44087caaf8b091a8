"""At which places of the graph (an edge, view and leg) measurements count, told by the keys of their rows.

What must stay true: a key counts at the places that `edge_facts` gave it, in these hours and minutes; what has none
counts nowhere. Rows of the same places are one class: there are few of these, however many keys there are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from store.kept_rows import Measurements
from store.percentiles import Groups, Ints

NOWHERE = -1
_BY_MINUTE = -2
_MINUTES = 60


class Places:
    """Of the rows 'lane' and 'place' of `edge_facts`."""

    def __init__(self, lanes: pa.Table, places: pa.Table, all_views: bool) -> None:
        """``all_views``: nodes have percentiles of each view, not of the client's alone."""
        self.places = len(places)
        place = places["place_no"].to_numpy().astype(np.int64) - 1
        is_client = pc.equal(places["view"], "client").to_numpy()
        of_node = np.flatnonzero(is_client | all_views)
        _, called = np.unique(places["target_no"].to_numpy()[of_node], return_inverse=True)
        numbers, group = np.unique(2 * called + is_client[of_node], return_inverse=True)
        self._node_group = np.full(self.places, NOWHERE, np.int64)
        self._node_group[place[of_node]] = group
        # A row of ``places`` of each node's group: which node and view it is.
        self.node_rows = np.zeros(len(numbers), np.int64)
        self.node_rows[group] = of_node
        self.place_rows = np.argsort(place)
        self._index_lanes(lanes)

    def _index_lanes(self, lanes: pa.Table) -> None:
        lane_key, place = lanes["lane_key"].to_numpy(), lanes["place_no"].to_numpy().astype(np.int64) - 1
        hour, minutes = lanes["hour_no"].to_numpy(), lanes["minutes"].to_numpy()
        keys, key = np.unique(lane_key, return_inverse=True)
        self._keys = pa.array(keys, pa.uint64())
        even, uneven = np.flatnonzero(hour < 0), np.flatnonzero(hour >= 0)
        hour, minutes = hour[uneven], minutes[uneven]
        uneven_keys, uneven_key = np.unique(key[uneven], return_inverse=True)
        self._first_hour = int(hour.min()) if len(uneven) else 0
        self._hours = int(hour.max()) + 1 - self._first_hour if len(uneven) else 0
        # Hours of a key in which all that it means holds for the same minutes are one; only others are told by minute.
        met, pair = np.unique(uneven_key * self._hours + hour - self._first_hour, return_inverse=True)
        self._minutes = np.full(len(met), np.iinfo(np.uint64).max)
        np.minimum.at(self._minutes, pair, minutes)
        most = np.zeros(len(met), np.uint64)
        np.maximum.at(most, pair, minutes)
        is_odd = self._minutes != most
        self._odd_no = np.where(is_odd, np.cumsum(is_odd) - 1, NOWHERE)
        alike, odd = np.flatnonzero(~is_odd[pair]), np.flatnonzero(is_odd[pair])
        nth, minute = np.nonzero(minutes[odd, None] >> np.arange(_MINUTES, dtype=np.uint64) & np.uint64(1))
        # Slots: places themselves, keys that always mean the same, hours of the others, and minutes of odd hours.
        first_pair = self.places + len(keys)
        first_minute = first_pair + len(met)
        slots = [
            np.arange(self.places),
            self.places + key[even],
            first_pair + pair[alike],
            first_minute + self._odd_no[pair[odd[nth]]] * _MINUTES + minute,
        ]
        places = [np.arange(self.places), place[even], place[uneven[alike]], place[uneven[odd[nth]]]]
        of_slot = self._classes(
            np.concatenate(slots), np.concatenate(places), first_minute + int(is_odd.sum()) * _MINUTES
        )
        self._of_place = of_slot[: self.places]
        self._of_key = of_slot[self.places : first_pair].copy()
        self._of_key[uneven_keys] = _BY_MINUTE
        self._of_hour = of_slot[first_pair:first_minute]
        self._of_minute = of_slot[first_minute:].reshape(-1, _MINUTES)
        self._uneven_no = np.zeros(len(keys), np.int64)
        self._uneven_no[uneven_keys] = np.arange(len(uneven_keys))
        self._pair = np.full(len(uneven_keys) * self._hours, NOWHERE, np.int32)
        self._pair[met] = np.arange(len(met))

    def _classes(self, slot: Ints, place: Ints, slots: int) -> npt.NDArray[np.int32]:
        """The class of each slot, and `groups` of them. A set of places is known by the sum of their random numbers."""
        order = np.lexsort((place, slot))
        slot, place = slot[order], place[order]
        first = np.ones(len(slot), bool)
        first[1:] = (slot[1:] != slot[:-1]) | (place[1:] != place[:-1])
        slot, place = slot[first], place[first]
        used, begins = np.unique(slot, return_index=True)
        drawn = np.random.default_rng(0).integers(0, 2**63, self.places, np.uint64)
        told = np.add.reduceat(drawn[place], begins) if len(slot) else np.empty(0, np.uint64)
        _, one_of, of_used = np.unique(told, return_index=True, return_inverse=True)
        ends = np.append(begins[1:], len(slot))
        many = ends[one_of] - begins[one_of]
        of_class = np.repeat(np.arange(len(one_of)), many)
        at = place[np.arange(many.sum()) + np.repeat(begins[one_of] - (np.cumsum(many) - many), many)]
        node = np.flatnonzero(self._node_group[at] != NOWHERE)
        of_class = np.concatenate([of_class, of_class[node]])
        group = np.concatenate([at, self.places + self._node_group[at[node]]])
        by_group = np.argsort(group, kind="stable")
        self.groups = Groups(len(one_of), of_class[by_group], group[by_group])
        found = np.full(slots, NOWHERE, np.int32)
        found[used] = of_used
        return found

    @property
    def keys(self) -> pa.Array:
        return self._keys

    @property
    def by_minute(self) -> bool:
        """Must a row tell its minute, for some key at least?"""
        return bool(len(self._of_hour))

    def classes_of_places(self, place_no: pa.ChunkedArray) -> npt.NDArray[np.int32]:
        return self._of_place[place_no.to_numpy() - 1]

    def classes_of_rows(self, lane_key: pa.Array, minute_no: pa.Array) -> npt.NDArray[np.int32]:
        """Of rows by key and, if `by_minute`, minutes since 1970."""
        key, of_row = self._of_keys(lane_key)
        if self.by_minute:
            self._by_minute(key, of_row, minute_no.to_numpy(zero_copy_only=False))
        return of_row

    def classes_of_kept(self, rows: Measurements) -> npt.NDArray[np.int32]:
        """Of rows that tell their key by its place among their keys."""
        key, of_key = self._of_keys(rows.keys)
        of_row = of_key[rows.key]
        if self.by_minute:
            self._by_minute(key[rows.key], of_row, rows.minute_no())
        return of_row

    def _by_minute(self, key: Ints, of_row: npt.NDArray[np.int32], minute_no: npt.NDArray) -> None:
        if len(moving := np.flatnonzero(of_row == _BY_MINUTE)):
            hour, minute = np.divmod(minute_no[moving].astype(np.int64), _MINUTES)
            of_row[moving] = self._at(key[moving], hour, np.uint64(1) << minute.astype(np.uint64))

    def classes_of_counts(
        self, lane_key: pa.Array, hour_no: pa.Array, minutes: pa.Array
    ) -> npt.NDArray[np.int32]:
        """Of counts by key, hours since 1970 and minutes of it: one, or all of them, where these mean the same."""
        key, of_row = self._of_keys(lane_key)
        if self.by_minute and len(moving := np.flatnonzero(of_row == _BY_MINUTE)):
            of_row[moving] = self._at(
                key[moving], hour_no.to_numpy()[moving], minutes.to_numpy()[moving].astype(np.uint64)
            )
        return of_row

    def _of_keys(self, lane_key: pa.Array) -> tuple[Ints, npt.NDArray[np.int32]]:
        found = pc.index_in(lane_key, self._keys)
        key = found.fill_null(0).to_numpy() if found.null_count else found.to_numpy()
        of_row = self._of_key[key] if len(self._of_key) else np.full(len(key), NOWHERE, np.int32)
        if found.null_count:
            of_row[found.is_null().to_numpy(zero_copy_only=False)] = NOWHERE
        return key, of_row

    def _at(self, key: Ints, hour: Ints, minutes: Ints) -> npt.NDArray[np.int32]:
        """Of keys in an hour: in one minute of it, or in some where all that they mean holds for the same."""
        hour = hour - self._first_hour
        inside = (hour >= 0) & (hour < self._hours)
        pair = self._pair[np.where(inside, self._uneven_no[key] * self._hours + hour, 0)]
        inside &= pair != NOWHERE
        of_row = np.where(inside & (self._minutes[pair] & minutes != 0), self._of_hour[pair], NOWHERE)
        odd = np.flatnonzero(inside & (self._odd_no[pair] != NOWHERE))
        minute = np.log2(minutes[odd] & (~minutes[odd] + np.uint64(1))).astype(np.int64)
        of_row[odd] = self._of_minute[self._odd_no[pair[odd]], minute]
        return of_row.astype(np.int32)

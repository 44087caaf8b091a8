"""The bounds every decoder keeps, in one place. Telemetry is hostile: nothing here is unbounded.

What must stay true: a bound cuts or rejects and says so (dropped counts, rejects); it never raises.
"""

from __future__ import annotations

TEXT_BYTES = 16 * 1024  # any text value: attribute, body, url
NAME_BYTES = 1024  # names and keys
SAMPLE_CHARS = 256  # what a reject shows of the bad record
ATTRIBUTES = 256  # per record; the rest is counted in dropped_attributes_count
EVENTS = 128  # per span
LINKS = 128  # per span
SPREAD_BYTES = 4 * 1024 * 1024  # what one chunk's records may take to repeat a value said once above them
UNNESTED_BYTES = 64 * 1024  # what is longer might nest groups deeper than ptars' stack: they are looked for
ANY_VALUE_DEPTH = 8  # nested arrays and maps inside one attribute

RECORD_BYTES = 1024 * 1024  # one span, log record, metric or access log entry
RECORDS_PER_EXPORT = 200_000  # those after it are rejected
RECORDS_REFUSED = 1_000_000  # an export with more is refused whole, before anything is laid out
GROUPS_PER_EXPORT = 50_000  # resources, and scopes, in one export
FIELDS_SEARCHED = 300_000  # in a refused body, for the byte where it breaks
REJECTS_DESCRIBED = 20  # per export; all are counted

JSON_BYTES = 16 * 1024 * 1024  # a JSON body becomes many times its size in Python objects

# What one call of the wire decoder is given: small enough that a 2-byte-per-attribute payload
# expands to tens of megabytes and not to gigabytes, large enough to amortise the calls.
CHUNK_BYTES = 2 * 1024 * 1024
CHUNK_BYTES_RAW = 8 * 1024 * 1024  # of records whose lists stay raw at first: those expand to a quarter
CHUNK_ROWS = 16_384

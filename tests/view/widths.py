"""Writes fixtures/widths.json: what Unicode itself says of every assigned, visible character, as runs [first, last, columns].
2 = East_Asian_Width W or F (UAX #11), 0 = combining (M), 1 = the rest. `python3 tests/view/widths.py` (standard library only)."""
import json, pathlib, sys, unicodedata as u

runs = []
for c in range(0x20, 0x110000):
    category = u.category(chr(c))
    if category[0] == "C" or category in ("Zl", "Zp"):
        continue
    columns = 0 if category[0] == "M" else 2 if u.east_asian_width(chr(c)) in "WF" else 1
    if runs and runs[-1][1] == c - 1 and runs[-1][2] == columns:
        runs[-1][1] = c
    else:
        runs.append([c, c, columns])
out = pathlib.Path(__file__).parent / "fixtures" / "widths.json"
out.write_text(json.dumps({"unicode": u.unidata_version, "runs": runs}, separators=(",", ":")) + "\n")
print(len(runs), out.stat().st_size)

"""Prints, one JSON value a line, what Python says of each character: those that are
assigned, those for which each category holds, and for each that has case the ones
that IGNORECASE takes for the same."""
import json
import re
import sys
import unicodedata

every = [chr(c) for c in range(sys.maxunicode + 1)]
text = "".join(every)
print(json.dumps([c for c in range(len(every)) if unicodedata.category(every[c]) != "Cn"]))
for category in (r"\d", r"\s", r"\w"):
    print(json.dumps([ord(c) for c in re.findall(category, text)]))
cased = "".join(c for c in every if c.lower() != c or c.upper() != c)
print(json.dumps({c: re.findall(re.escape(c), cased, re.IGNORECASE) for c in cased}))

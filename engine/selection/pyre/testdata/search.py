"""Answers, for each line of standard input, what Python's re says.

A line is a JSON list: an expression and texts, each as the hexadecimal bytes of a
path, and whether case is ignored. The answer is a JSON list with a boolean for
each text, or a string, Python's message, when the expression is none.
"""
import json
import os
import re
import sys
import warnings

warnings.simplefilter("ignore")


def text(digits):
    return os.fsdecode(bytes.fromhex(digits))


for line in sys.stdin:
    expr, texts, ignore_case = json.loads(line)
    try:
        compiled = re.compile(text(expr), re.IGNORECASE if ignore_case else 0)
        answer = [compiled.search(text(t)) is not None for t in texts]
    except (re.error, OverflowError, RecursionError) as e:
        answer = str(e)
    json.dump(answer, sys.stdout)
    sys.stdout.write("\n")

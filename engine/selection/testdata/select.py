"""Answers, for each line of standard input, which paths real duplicity selects.

Duplicity's own modules selection, globmatch and path do the work; only the calls
to the system that look at files are answered from a tree in memory, so that roots,
devices and file systems can be what a case needs. PYTHONPATH may lead to another
duplicity than the installed one.

A line is a JSON object:
  tree     list of [path, type, device, mtime]: absolute paths, types f d l p s c b
  cwd      the folder that a relative root is in
  root     the source as given on the command line
  options  list of [option, value]; the value of a list of files is its content
  null     whether --null-separator is given
Paths and values are the hexadecimal digits of their bytes. The answer is a JSON
list of the paths selected, relative to the root, in order, or a string that says
what kind of error it was.
"""
import errno
import gettext
import io
import json
import os
import stat
import sys
import warnings

warnings.simplefilter("ignore")
gettext.install("duplicity", names=["ngettext"])

from duplicity import config, dup_time, log, selection  # noqa: E402
from duplicity.path import Path  # noqa: E402

TYPES = {"f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO,
         "s": stat.S_IFSOCK, "c": stat.S_IFCHR, "b": stat.S_IFBLK}
LISTS = ("--include-filelist", "--exclude-filelist", "--include-globbing-filelist",
         "--exclude-globbing-filelist", "--files-from")


class Tree:
    """What is in the files of a case; paths are bytes."""

    def __init__(self, cwd, entries):
        self.cwd, self.stats, self.children = cwd, {}, {}
        for hexed, kind, device, mtime in entries:
            name = bytes.fromhex(hexed)
            mode = TYPES[kind] | 0o755
            self.stats[name] = os.stat_result((mode, 1, device, 1, 0, 0, 0, mtime, mtime, mtime), {"st_rdev": 259})
            if name != b"/":
                self.children.setdefault(os.path.dirname(name), []).append(os.path.basename(name))

    def resolve(self, name):
        return os.path.normpath(os.path.join(self.cwd, os.fsencode(name))).replace(b"//", b"/")

    def lstat(self, name):
        found = self.stats.get(self.resolve(name))
        if found is None:
            raise OSError(errno.ENOENT, "no such file", name)
        return found

    def listdir(self, name):
        if not stat.S_ISDIR(self.lstat(name).st_mode):
            raise OSError(errno.ENOTDIR, "no directory", name)
        return list(self.children.get(self.resolve(name), []))

    def access(self, name, mode):
        return self.resolve(name) in self.stats

    def install(self):
        os.lstat = os.stat = self.lstat
        os.listdir, os.access = self.listdir, self.access
        os.readlink = lambda name: b"target"


def kind_of(code):
    for name, value in vars(log.ErrorCode).items():
        if value == code:
            return name
    return "exit code %s" % code


def text(hexed):
    return os.fsdecode(bytes.fromhex(hexed))


def answer(case):
    Tree(bytes.fromhex(case["cwd"]), case["tree"]).install()
    config.null_separator = case["null"]
    options, lists = [], []
    for option, value in case["options"]:
        value = None if value is None else bytes.fromhex(value)
        if option in LISTS:
            lists.append(io.TextIOWrapper(io.BytesIO(value), encoding="UTF-8"))
            value = b"list"
        if option == "--exclude-older-than":
            options.append((option, dup_time.genstrtotime(os.fsdecode(value))))
        else:
            options.append((option, value if value is None else os.fsdecode(value)))
    try:
        select = selection.Select(Path(Path(text(case["root"])).get_canonical()))
        select.ParseArgs(options, lists)
        # A list of --files-from may name what does not exist.
        return [b"/".join(path.index).hex() for path in select.set_iter() if path.exists()]
    except SystemExit as e:
        return kind_of(e.code)
    except Exception as e:
        return type(e).__name__


out, sys.stdout = sys.stdout, open(os.devnull, "w")
log.setup()
log.setverbosity(0)
for line in sys.stdin:
    json.dump(answer(json.loads(line)), out)
    out.write("\n")

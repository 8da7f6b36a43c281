#!/usr/bin/env python3
"""Breaks the code on purpose, one place at a time, and names the test that catches each break.

A test suite that has never been seen to fail proves little. Every row of mutants.txt is a plausible mistake; this script
applies it to a copy of the tree, builds the tests named in the row and runs them until one fails. A mutant that no test
catches is a failure of the suite.

  run.py                      all mutants; the copy and its build are kept in <top>/build-mutants for the next run
  run.py --only WORD          those whose file or title contains WORD
  run.py --list               the rows, nothing is built
  run.py --json FILE          the result of each as JSON too

Exit status: 0 all caught, 1 some survived or a row is out of date, 2 wrong usage.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
ROWS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "mutants.txt")
TEST_SECONDS = 600


class Mutant:
    """A row: lines that start with '- ' stand in `file` exactly once and become those that start with '+ '."""

    def __init__(self, line, file, title):
        self.line, self.file, self.title = line, file, title
        self.before, self.after, self.tests = [], [], []

    def apply(self, text):
        before = "".join(f"{part}\n" for part in self.before)
        after = "".join(f"{part}\n" for part in self.after)
        found = text.count(before)
        if found != 1:
            raise ValueError(f"{self.file}: the lines of '{self.title}' (mutants.txt:{self.line}) stand there {found} times")
        return text.replace(before, after)


def read_rows(path):
    mutants = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = line.rstrip("\n")
            header = re.fullmatch(r"\[([^\]]+)\] (.+)", line)
            if header:
                mutants.append(Mutant(number, *header.groups()))
            elif not line or line.startswith("#"):
                continue
            elif mutants and line.startswith("-"):
                mutants[-1].before.append(line[2:])
            elif mutants and line.startswith("+"):
                mutants[-1].after.append(line[2:])
            elif mutants and line.startswith("tests: "):
                mutants[-1].tests = line[len("tests: "):].split()
            else:
                sys.exit(f"{path}:{number}: neither a row's head, nor '-', '+' or 'tests:': {line}")
    for mutant in mutants:
        if not mutant.before or not mutant.tests:
            sys.exit(f"{path}:{mutant.line}: '{mutant.title}' has no lines to replace or no tests")
    return mutants


def run(command, log, seconds=None, **more):
    """Output goes to `log`; a command that runs too long has failed."""
    with open(log, "w", encoding="utf-8") as out:
        try:
            return subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  timeout=seconds, **more).returncode
        except subprocess.TimeoutExpired:
            return 124


class Copy:
    """The tree's tracked files in a folder of their own, and their build in it, where a compiler cache knows it."""

    def __init__(self, folder):
        self.source, self.build, self.logs = folder, os.path.join(folder, "build"), os.path.join(folder, "logs")
        os.makedirs(self.logs, exist_ok=True)

    def refresh(self):
        """Files that did not change keep their times, so that only the others are built again."""
        tracked = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TOP,
                                 check=True, capture_output=True).stdout.decode().split("\0")
        wanted = {name for name in tracked if name and os.path.isfile(os.path.join(TOP, name))}
        for root, folders, names in os.walk(self.source):
            if root == self.source:
                folders[:] = [name for name in folders if name not in ("build", "logs")]
            for name in names:
                path = os.path.join(root, name)
                if os.path.relpath(path, self.source) not in wanted and not os.path.islink(path):
                    os.remove(path)
        for name in wanted:
            to = os.path.join(self.source, name)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            with open(os.path.join(TOP, name), "rb") as file:
                data = file.read()
            if os.path.exists(to):
                with open(to, "rb") as file:
                    if file.read() == data:
                        continue
            with open(to, "wb") as file:
                file.write(data)
            shutil.copymode(os.path.join(TOP, name), to)
        link = os.path.join(self.source, ".deps")
        if not os.path.islink(link):
            os.symlink(os.path.join(TOP, ".deps"), link)

    def configure(self):
        log = os.path.join(self.logs, "configure.log")
        if run(["cmake", "--preset", "release", "-B", self.build], log, cwd=self.source) != 0:
            sys.exit(f"configuring failed: see {log}")

    def compile(self, tests, name):
        log = os.path.join(self.logs, f"{name}.build.log")
        return run(["cmake", "--build", self.build, "--parallel", str(os.cpu_count()), "--target", *tests], log) == 0

    def first_failure(self, tests, name):
        """(test, first failed case) or None when all pass."""
        for test in tests:
            log = os.path.join(self.logs, f"{name}.{test}.log")
            cache = os.path.join(self.build, "tests", "cache", test)
            shutil.rmtree(cache, ignore_errors=True)
            status = run([os.path.join(self.build, "tests", "bin", test)], log, TEST_SECONDS,
                         env={**os.environ, "BITTERN_CACHE": cache}, cwd=os.path.join(self.build, "tests"))
            if status != 0:
                with open(log, encoding="utf-8", errors="replace") as lines:
                    cases = re.findall(r"^TEST CASE:\s+(.*)$", lines.read(), re.MULTILINE)
                how = cases[0].strip() if cases else "ran too long" if status == 124 else f"exit status {status}"
                return test, how
        return None

    def path(self, name):
        return os.path.join(self.source, name)


def try_mutant(copy, mutant, name):
    """(caught, what to say of it). The file is as it was afterwards."""
    path = copy.path(mutant.file)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        broken = mutant.apply(text)
    except (OSError, ValueError) as error:
        return False, f"out of date: {error}"
    times = os.stat(path)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(broken)
        if not copy.compile(mutant.tests, name):
            return False, f"does not compile, so it shows nothing: see {copy.logs}/{name}.build.log"
        failure = copy.first_failure(mutant.tests, name)
    finally:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        # Built again by the next mutant that needs it: the object is newer than the old time.
        os.utime(path, (times.st_atime, time.time()))
    if failure is None:
        return False, f"survived {' '.join(mutant.tests)}"
    return True, f"caught by {failure[0]}: {failure[1]}"


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--json")
    parser.add_argument("--folder", default=os.path.join(TOP, "build-mutants"))
    options = parser.parse_args()
    mutants = [m for m in read_rows(ROWS) if options.only in m.file or options.only in m.title]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.file}: {mutant.title} [{' '.join(mutant.tests)}]")
        return 0
    if not mutants:
        print(f"no mutant's file or title contains '{options.only}'", file=sys.stderr)
        return 2
    copy = Copy(options.folder)
    copy.refresh()
    copy.configure()
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    print(f"building {len(tests)} tests", flush=True)
    if not copy.compile(tests, "unbroken"):
        sys.exit(f"the unbroken code does not build: see {copy.logs}/unbroken.build.log")
    failure = copy.first_failure(tests, "unbroken")
    if failure:
        sys.exit(f"{failure[0]} fails on the unbroken code ({failure[1]}): nothing can be learnt")
    results = []
    for number, mutant in enumerate(mutants, 1):
        begin = time.monotonic()
        caught, words = try_mutant(copy, mutant, f"{number:02}")
        seconds = time.monotonic() - begin
        results.append({"file": mutant.file, "title": mutant.title, "caught": caught, "result": words,
                        "seconds": round(seconds, 1)})
        print(f"{number:2}/{len(mutants)} {'ok  ' if caught else 'FAIL'} {mutant.file}: {mutant.title}: {words} "
              f"({seconds:.0f} s)", flush=True)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    bad = sum(not result["caught"] for result in results)
    print(f"{len(results) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

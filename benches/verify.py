"""Times dbhaul verify against the migration that it proves, and against other programs that compare tables.

Started by scripts/bench verify. Each round runs every contender once, so that a machine whose speed drifts drifts for
all; medians and ratios of medians are printed. TPC-H is moved once in each round and verified as it was moved; then four
rows of lineitem are changed on the target, and whoever can say which are looks for them. The others compare one table:
lineitem, three quarters of all bytes.
"""

import argparse
import itertools
import json
import pathlib
import re
import statistics
import subprocess
import sys
import time

# What a verification of all may take of the migration of all, in wall time.
BAR = 0.5
TABLE = "lineitem"
KEY = ("l_orderkey", "l_linenumber")
FAULTS = """UPDATE lineitem SET l_quantity = l_quantity + 1 WHERE l_orderkey = 1 AND l_linenumber = 1;
DELETE FROM lineitem WHERE l_orderkey = 7 AND l_linenumber = 1;
INSERT INTO lineitem SELECT l_orderkey, l_partkey, l_suppkey, 99, l_quantity, l_extendedprice, l_discount, l_tax,
    l_returnflag, l_linestatus, l_shipdate, l_commitdate, l_receiptdate, l_shipinstruct, l_shipmode, l_comment
    FROM lineitem WHERE l_orderkey = 32 AND l_linenumber = 1;
UPDATE lineitem SET l_comment = l_comment || ' ' WHERE l_orderkey = 33 AND l_linenumber = 1"""
FAULT_COUNT = 4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dbhaul", "psql", "source", "target", "results"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--peer", action="append", default=[], help="NAME=PROGRAM of reladiff or data-diff")
    for name, default in (("rounds", 3), ("jobs", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--scale", default="1")
    return parser.parse_args()


class Bench:
    def __init__(self, options):
        self.options, self.figures, self.numbers = options, {}, itertools.count(1)
        # as both dbhaul and the others know it
        options.source, options.target = (re.sub("^postgres:", "postgresql:", uri) for uri in (options.source, options.target))
        self.source = f"{options.source}/tpch"
        self.log = pathlib.Path(options.results).with_suffix(".log").open("wb")

    def sql(self, database, *statements):
        flags = itertools.chain.from_iterable(("-c", statement) for statement in statements)
        subprocess.run([self.options.psql, "-Xq", "-v", "ON_ERROR_STOP=1", "-d", database, *flags], check=True,
                       stdout=self.log, stderr=self.log)

    def measure(self, name, command, codes=(0,)):
        """Runs a command and notes its wall time; returns what it printed."""
        started = time.monotonic()
        run = subprocess.run([str(word) for word in command], capture_output=True)
        seconds = time.monotonic() - started
        self.log.write(f"\n--- {name}: {command}\n".encode() + run.stdout + run.stderr)
        self.log.flush()
        if run.returncode not in codes:
            sys.exit(f"{run.stderr[-2000:].decode(errors='replace')}\n{name} ended with {run.returncode}")
        self.figures.setdefault(name, []).append(seconds)
        return run.stdout.decode(errors="replace")

    def ours(self, command, *words):
        return [self.options.dbhaul, command, "--source", self.source, "--jobs", self.options.jobs, "--progress", "none",
                *words]

    def round(self):
        database = f"verify_{next(self.numbers)}"
        target = f"{self.options.target}/{database}"
        self.sql(f"{self.options.target}/postgres", f"CREATE DATABASE {database}", "CHECKPOINT")
        self.measure("migrate, no comparison", self.ours("migrate", "--target", target, "--no-verify"))
        self.sql(target, "VACUUM ANALYZE", "CHECKPOINT")
        self.measure("verify", self.ours("verify", "--target", target))
        table = ("--table", f"public.{TABLE}", "--data-only", "--mode", "deep", "--target", target)
        self.measure(f"verify {TABLE}, equal", self.ours("verify", *table))
        for name, program in self.peers():
            self.compare(f"{name} {TABLE}, equal", program, target, 0)
        self.sql(target, FAULTS)
        found = self.measure(f"verify {TABLE}, {FAULT_COUNT} faults", self.ours("verify", *table, "--json"), codes=(4,))
        rows = next(one["rows"] for one in json.loads(found)["tables"] if one["name"] == f"public.{TABLE}")
        count = rows["missing_count"] + rows["extra_count"] + rows["different_count"]
        if count != FAULT_COUNT:
            sys.exit(f"dbhaul found {count} faults of {FAULT_COUNT}")
        for name, program in self.peers():
            self.compare(f"{name} {TABLE}, {FAULT_COUNT} faults", program, target, FAULT_COUNT)
        self.sql(f"{self.options.target}/postgres", f"DROP DATABASE {database}")

    def peers(self):
        return [peer.split("=", 1) for peer in self.options.peer]

    def compare(self, name, program, target, fault_count):
        """A table by its key and all columns. What is found is counted: who finds other faults is no peer."""
        keys = itertools.chain.from_iterable(("-k", column) for column in KEY)
        quiet = ["--no-tracking"] if name.startswith("data-diff") else []
        output = self.measure(name, [program, self.source, TABLE, target, TABLE, *keys, "-c", "%", "-j",
                                     self.options.jobs, *quiet])
        lines = [line for line in output.splitlines() if re.match(r"[-+] ", line)]
        keys_found = {tuple(re.findall(r"[^,()'\" ]+", line[2:])[:2]) for line in lines}
        if len(keys_found) != fault_count:
            sys.exit(f"{name}: told {len(keys_found)} rows of {fault_count}; see {self.log.name}")


def main():
    options = arguments()
    bench = Bench(options)
    for _ in range(options.rounds):
        bench.round()
    medians = {name: statistics.median(seconds) for name, seconds in bench.figures.items()}
    print(f"TPC-H at scale {options.scale}, {options.jobs} jobs, {options.rounds} rounds; medians of wall times")
    for name, seconds in bench.figures.items():
        print(f"  {name:<40} {medians[name]:8.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")
    ratio = medians["verify"] / medians["migrate, no comparison"]
    print(f"  {'verify to migrate, no comparison':<40} {ratio:8.2f}   bar {BAR}: {'met' if ratio <= BAR else 'MISSED'}")
    for kind in ("equal", f"{FAULT_COUNT} faults"):
        ours = medians[f"verify {TABLE}, {kind}"]
        for name, _ in bench.peers():
            print(f"  {f'verify to {name}, {TABLE}, {kind}':<40} {ours / medians[f'{name} {TABLE}, {kind}']:8.2f}")
    pathlib.Path(options.results).write_text(json.dumps(bench.figures, indent=2))


main()

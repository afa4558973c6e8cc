"""Times dbhaul against pg_dump and pg_restore on the same database, interleaved, and prints ratios.

Started by scripts/bench. Each round runs every contender once, so that a machine whose speed drifts
drifts for all; medians and ratios of medians are printed, with the peak resident memory and the CPU time of
the client processes, as the operating system accounts them.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dbhaul", "clients", "work", "source", "target"):
        parser.add_argument(f"--{name}", required=True)
    for name, default in (("rounds", 3), ("jobs", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--scale", default="?")
    return parser.parse_args()


class Run:
    """One finished command: seconds, client CPU seconds, peak resident MiB."""

    def __init__(self, command, log):
        started = time.monotonic()
        with open(log, "ab") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, shell=isinstance(command, str))
            _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{command} ended with {process.returncode}; see {log}")
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.resident_mib = usage.ru_maxrss / 1024


class Bench:
    def __init__(self, options):
        self.options = options
        self.work = pathlib.Path(options.work)
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.log = self.work / "log"
        self.psql = f"{options.clients}/psql"
        self.compression = self.best_compression()
        self.figures = {}
        self.sizes = {}

    def best_compression(self):
        """The first of zstd:1, lz4, gzip:1 that this pg_dump was built with."""
        for method in ("zstd:1", "lz4", "gzip:1"):
            probe = self.work / "probe"
            command = [f"{self.options.clients}/pg_dump", "-Fd", f"--compress={method}", "-s", "-f", probe,
                       "-d", f"{self.options.source}/postgres"]
            done = subprocess.run(command, capture_output=True)
            shutil.rmtree(probe, ignore_errors=True)
            if done.returncode == 0:
                return method
        sys.exit("this pg_dump knows no compression")

    def fresh_database(self):
        for statement in ("DROP DATABASE IF EXISTS bench", "CREATE DATABASE bench", "CHECKPOINT"):
            subprocess.run([self.psql, "-Xqd", f"{self.options.target}/postgres", "-c", statement], check=True,
                           capture_output=True)
        return f"{self.options.target}/bench"

    def measure(self, name, command):
        run = Run(command, self.log)
        self.figures.setdefault(name, []).append(run)

    def size(self, name, path):
        self.sizes[name] = sum(f.stat().st_size for f in pathlib.Path(path).rglob("*") if f.is_file())

    def round(self):
        o = self.options
        jobs = str(o.jobs)
        archive, store = self.work / "pg_dump", self.work / "store"
        for path in (archive, store):
            shutil.rmtree(path, ignore_errors=True)
        source = f"{o.source}/tpch"
        self.measure("pg_dump", [f"{o.clients}/pg_dump", "-Fd", "-j", jobs, f"--compress={self.compression}",
                                 "-f", archive, "-d", source])
        self.measure("dbhaul dump", [o.dbhaul, "dump", "--source", source, "--store", store, "--jobs", jobs,
                                     "--compress", "1", "--progress", "none"])
        self.size("pg_dump", archive)
        self.size("dbhaul dump", store)
        target = self.fresh_database()
        self.measure("pg_restore", [f"{o.clients}/pg_restore", "-j", jobs, "-d", target, archive])
        target = self.fresh_database()
        self.measure("dbhaul restore", [o.dbhaul, "restore", "--store", store, "--backup", "latest", "--target",
                                        target, "--jobs", jobs, "--progress", "none"])
        target = self.fresh_database()
        self.measure("pg_dump | psql", f"{o.clients}/pg_dump -d {source} | {self.psql} -Xq -o /dev/null -d {target}")
        target = self.fresh_database()
        self.measure("dbhaul migrate", [o.dbhaul, "migrate", "--source", source, "--target", target, "--jobs",
                                        jobs, "--progress", "none"])

    def memory_round(self):
        """Resident memory at four jobs, whatever --jobs says."""
        o = self.options
        source = f"{o.source}/tpch"
        store = self.work / "store4"
        common = ["--jobs", "4", "--progress", "none"]
        runs = {"dump": Run([o.dbhaul, "dump", "--source", source, "--store", store, *common], self.log)}
        restore = [o.dbhaul, "restore", "--store", store, "--backup", "latest", "--target", self.fresh_database()]
        runs["restore"] = Run([*restore, *common], self.log)
        migrate = [o.dbhaul, "migrate", "--source", source, "--target", self.fresh_database()]
        runs["migrate"] = Run([*migrate, *common], self.log)
        return runs

    def report(self):
        o = self.options
        version = subprocess.run([f"{o.clients}/pg_dump", "--version"], capture_output=True, text=True).stdout.strip()
        print(f"TPC-H scale {o.scale}, {o.jobs} jobs, {o.rounds} rounds, {os.cpu_count()} processors, "
              f"{version} with --compress={self.compression}")
        print(f"{'':16} {'median s':>9} {'min s':>8} {'max s':>8} {'client CPU s':>13} {'peak MiB':>9} {'MiB stored':>11}")
        for name, runs in self.figures.items():
            seconds = [run.seconds for run in runs]
            size = f"{self.sizes[name] / 2**20:.0f}" if name in self.sizes else ""
            print(f"{name:16} {statistics.median(seconds):9.2f} {min(seconds):8.2f} {max(seconds):8.2f} "
                  f"{statistics.median(r.cpu_seconds for r in runs):13.2f} "
                  f"{max(r.resident_mib for r in runs):9.0f} {size:>11}")
        print()
        for ours, theirs in (("dbhaul dump", "pg_dump"), ("dbhaul restore", "pg_restore"),
                             ("dbhaul migrate", "pg_dump | psql")):
            median = lambda name: statistics.median(run.seconds for run in self.figures[name])
            print(f"{ours} takes {median(ours) / median(theirs):.2f} of {theirs}")
        print(f"dbhaul dump stores {self.sizes['dbhaul dump'] / self.sizes['pg_dump']:.2f} of pg_dump's bytes")
        for name, run in self.memory_round().items():
            verdict = "under" if run.resident_mib < 256 else "OVER"
            print(f"dbhaul {name} at 4 jobs: {run.resident_mib:.0f} MiB resident at most, {verdict} 256 MiB")


def main():
    bench = Bench(arguments())
    for _ in range(bench.options.rounds):
        bench.round()
    bench.report()


main()

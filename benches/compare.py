"""Times dbhaul against pg_dump, pg_restore and pgcopydb on the same database, interleaved, and prints ratios.

Started by scripts/bench. Each round runs every contender once, so that a machine whose speed drifts drifts
for all; medians and ratios of medians are printed. CPU and peak resident memory of a client are what the
operating system accounts to it and the processes it waited for; the CPU of the servers is that of the
backends that ended during the run.
"""

import argparse
import copy
import itertools
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

# Ours and theirs. dbhaul and pgcopydb analyze what they loaded, pg_restore does not: so like is compared with
# like, ours without against theirs as it is, and ours as it is against theirs with an ANALYZE after it.
RATIOS = (("dump", "pg_dump"), ("restore", "pg_restore"), ("restore, no ANALYZE", "pg_restore"),
          ("restore", "pg_restore, ANALYZE"), ("restore, no comparison", "pg_restore, ANALYZE"),
          ("migrate", "pgcopydb clone"), ("migrate", "pg_dump | pg_restore"),
          ("migrate, no ANALYZE", "pg_dump | pg_restore"), ("migrate", "pg_dump | pg_restore, ANALYZE"),
          ("migrate, no comparison", "pgcopydb clone"))
# Ratios of wall times not to be exceeded: those that the design sets, and else that nothing is slower than what
# people use today. Where only ours analyzes, there is none but that of the design.
BARS = {("tpch", "restore", "pg_restore, ANALYZE"): 0.85, ("tpch", "migrate, no comparison", "pgcopydb clone"): 0.90}
UNLIKE = (("restore", "pg_restore"), ("migrate", "pg_dump | pg_restore"))
# What a store costs beyond a plain dump, in every shape: ours against ours.
STORE_BARS = {("dump, encrypted", "dump"): 1.15, ("backup check --level 2", "dump"): 0.60}
MEMORY_BAR_MIB = 256
# pgcopydb takes minutes for thousands of tables. A second look at that would tell nothing.
SECONDS_FOR_ONE_RUN = 60
MEMORY_JOBS = 4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dbhaul", "clients", "work", "source", "target", "source-data", "target-data", "shape", "results"):
        parser.add_argument(f"--{name}", required=True)
    for name, default in (("rounds", 3), ("jobs", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--scale", default="1")
    return parser.parse_args()


def ticks(pid):
    """Seconds of CPU of a process's children that ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


class Run:
    """One finished command: wall seconds, CPU seconds of client and servers, peak resident MiB."""

    def __init__(self, command, log, environment, postmasters):
        before = sum(map(ticks, postmasters))
        started = time.monotonic()
        with open(log, "ab") as output:
            output.write(f"\n--- {command}\n".encode())
            output.flush()
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment,
                                       shell=isinstance(command, str))
            _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            tail = pathlib.Path(log).read_bytes()[-2000:].decode(errors="replace")
            sys.exit(f"{tail}\n{command} ended with {process.returncode}; see {log}")
        time.sleep(0.2)  # the postmaster has yet to reap the last backends
        self.server_cpu_seconds = sum(map(ticks, postmasters)) - before
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.resident_mib = usage.ru_maxrss / 1024

    def then(self, next_run):
        """This command and one after it."""
        both = copy.copy(self)
        for figure in ("seconds", "cpu_seconds", "server_cpu_seconds"):
            setattr(both, figure, getattr(self, figure) + getattr(next_run, figure))
        both.resident_mib = max(self.resident_mib, next_run.resident_mib)
        return both


class Bench:
    def __init__(self, options):
        self.options = options
        self.work = pathlib.Path(options.work)
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.log = pathlib.Path(options.results).with_suffix(".log")
        self.log.unlink(missing_ok=True)
        self.psql = f"{options.clients}/psql"
        # pgcopydb finds the programs it needs by the path.
        self.environment = {**os.environ, "PATH": f"{options.clients}:{os.environ['PATH']}"}
        read_pid = lambda data: int(pathlib.Path(data, "postmaster.pid").read_text().split()[0])
        self.postmasters = [read_pid(options.source_data), read_pid(options.target_data)]
        self.source = f"{options.source}/{options.shape}"
        self.archive, self.store = self.work / "pg_dump", self.work / "store"
        self.figures = {}
        self.sizes = {}
        self.numbers, self.database = itertools.count(1), "bench"

    def fresh_database(self):
        """A new database. The one before goes, unless it has thousands of files: for minutes after such a DROP
        ext4 looks at every inode that became free before it takes another (recently_deleted of
        fs/ext4/ialloc.c), and whoever came next would pay several seconds for it."""
        drop = [] if self.options.shape == "tables" else [f"DROP DATABASE IF EXISTS {self.database}"]
        self.database = f"bench_{self.options.shape}_{next(self.numbers)}"
        for statement in (*drop, f"CREATE DATABASE {self.database}", "CHECKPOINT"):
            subprocess.run([self.psql, "-Xqd", f"{self.options.target}/postgres", "-c", statement], check=True,
                           capture_output=True)
        return f"{self.options.target}/{self.database}"

    def run(self, command):
        return Run(command, self.log, self.environment, self.postmasters)

    def measure(self, name, command):
        self.figures.setdefault(name, []).append(self.run(command))

    def size(self, name, path):
        self.sizes[name] = sum(f.stat().st_size for f in pathlib.Path(path).rglob("*") if f.is_file())

    def ours(self, command, *where, jobs=None):
        jobs = str(jobs or self.options.jobs)
        return [self.options.dbhaul, command, *map(str, where), "--jobs", jobs, "--progress", "none"]

    def check(self):
        """A check has as many threads as there are processors."""
        self.measure("backup check --level 2", [self.options.dbhaul, "backup", "check", "--store", self.store,
                                                "--level", "2", "--progress", "none"])

    def loading(self, command, *where):
        """Measures a command that fills a fresh database, and again without its ANALYZE and without its comparison."""
        variants = ((command, ()), (f"{command}, no ANALYZE", ("--no-analyze",)),
                    (f"{command}, no comparison", ("--no-verify",)))
        for name, options in variants:
            self.measure(name, self.ours(command, *where, "--target", self.fresh_database(), *options))

    def round(self, number):
        """Every contender once; ours first in every other round, so that neither always meets warm caches."""
        o, jobs = self.options, str(self.options.jobs)
        in_turn = lambda *steps: [step() for step in (steps if number % 2 else reversed(steps))]
        for path in (self.archive, self.store):
            shutil.rmtree(path, ignore_errors=True)
        in_turn(
            lambda: self.measure("pg_dump", ["pg_dump", "-Fd", "-j", jobs, "--compress=zstd:1", "-f", self.archive,
                                             "-d", self.source]),
            lambda: self.measure("dump", self.ours("dump", "--source", self.source, "--store", self.store,
                                                   "--compress", "1")))
        in_turn(self.encrypted, self.check)
        self.size("pg_dump", self.archive)
        self.size("dump", self.store)
        in_turn(
            lambda: self.analyzed("pg_restore", ["pg_restore", "-j", jobs, "-d", self.fresh_database(), self.archive]),
            lambda: self.loading("restore", "--store", self.store))
        in_turn(
            lambda: self.analyzed("pg_dump | pg_restore", f"pg_dump -Fc --compress=none -d {self.source} | "
                                                          f"pg_restore -d {self.fresh_database()}"),
            self.pgcopydb,
            lambda: self.loading("migrate", "--source", self.source))

    def encrypted(self):
        """Measures a dump into a new store that only a passphrase opens, by whoever holds its writer key."""
        place, writer, passphrase = (self.work / name for name in ("encrypted", "writer.json", "passphrase"))
        shutil.rmtree(place, ignore_errors=True)
        writer.unlink(missing_ok=True)
        passphrase.write_text("correct horse battery staple\n")
        subprocess.run([self.options.dbhaul, "store", "init", place, "--passphrase-file", passphrase,
                        "--writer-key-out", writer, "--quiet"], check=True)
        self.measure("dump, encrypted", self.ours("dump", "--source", self.source, "--store", place, "--compress", "1",
                                                  "--writer-key", writer))

    def analyzed(self, name, command):
        """Measures a restore, and the same followed by an ANALYZE of everything."""
        run = self.run(command)
        analyze = self.run(["vacuumdb", "--analyze-only", "-j", str(self.options.jobs), "-d",
                            f"{self.options.target}/{self.database}"])
        self.figures.setdefault(name, []).append(run)
        self.figures.setdefault(f"{name}, ANALYZE", []).append(run.then(analyze))

    def pgcopydb(self):
        if any(run.seconds > SECONDS_FOR_ONE_RUN for run in self.figures.get("pgcopydb clone", ())):
            return
        place = self.work / "pgcopydb"
        shutil.rmtree(place, ignore_errors=True)
        jobs = str(self.options.jobs)
        self.measure("pgcopydb clone", ["pgcopydb", "clone", "--source", self.source, "--target",
                                        self.fresh_database(), "--table-jobs", jobs, "--index-jobs", jobs,
                                        "--restore-jobs", jobs, "--split-tables-larger-than", "100MB",
                                        "--dir", place])

    def memory_round(self):
        """Our resident memory at four jobs, whatever --jobs says."""
        store = self.work / "store4"
        run = lambda *command: self.run(self.ours(*command, jobs=MEMORY_JOBS))
        yield "dump", run("dump", "--source", self.source, "--store", store)
        yield "restore", run("restore", "--store", store, "--target", self.fresh_database())
        yield "migrate", run("migrate", "--source", self.source, "--target", self.fresh_database())

    def median(self, name, figure="seconds"):
        return statistics.median(getattr(run, figure) for run in self.figures[name])

    def ratios(self):
        for ours, theirs in RATIOS:
            bar = BARS.get((self.options.shape, ours, theirs), None if (ours, theirs) in UNLIKE else 1.0)
            yield ours, theirs, self.median(ours) / self.median(theirs), bar
        for (ours, theirs), bar in STORE_BARS.items():
            yield ours, self.title(theirs), self.median(ours) / self.median(theirs), bar

    def report(self):
        o = self.options
        print(f"{o.shape} at scale {o.scale}, {o.jobs} jobs, {o.rounds} rounds, {os.cpu_count()} processors")
        print(f"{'':30}{'median s':>9}{'min s':>8}{'max s':>8}{'client CPU s':>14}{'server CPU s':>14}"
              f"{'peak MiB':>10}{'MiB stored':>12}")
        for name, runs in self.figures.items():
            seconds = [run.seconds for run in runs]
            size = f"{self.sizes[name] / 2**20:.0f}" if name in self.sizes else ""
            print(f"{self.title(name):30}{statistics.median(seconds):9.2f}{min(seconds):8.2f}{max(seconds):8.2f}"
                  f"{self.median(name, 'cpu_seconds'):14.2f}{self.median(name, 'server_cpu_seconds'):14.2f}"
                  f"{max(run.resident_mib for run in runs):10.0f}{size:>12}")
            if len(runs) < o.rounds:
                print(f"  ({name}: {len(runs)} run)")
        print()
        for ours, theirs, ratio, bar in self.ratios():
            print(f"{self.title(ours)} takes {ratio:.2f} of {theirs}, {against(ratio, bar)}")
        print(f"dbhaul dump stores {self.sizes['dump'] / self.sizes['pg_dump']:.2f} of pg_dump's bytes")
        memory = dict(self.memory_round())
        for name, run in memory.items():
            verdict = "within" if run.resident_mib <= MEMORY_BAR_MIB else "OVER"
            print(f"dbhaul {name} at {MEMORY_JOBS} jobs: {run.resident_mib:.0f} MiB resident at most, "
                  f"{verdict} {MEMORY_BAR_MIB}")
        self.save(memory)

    def save(self, memory):
        figures = {self.title(name): [vars(run) for run in runs] for name, runs in self.figures.items()}
        pathlib.Path(self.options.results).write_text(json.dumps({
            "shape": self.options.shape, "scale": self.options.scale, "jobs": self.options.jobs,
            "runs": figures, "stored_bytes": self.sizes,
            "ratios": [{"ours": self.title(o), "theirs": t, "ratio": r, "bar": b} for o, t, r, b in self.ratios()],
            "resident_mib_at_4_jobs": {name: run.resident_mib for name, run in memory.items()},
        }, indent=1))

    def title(self, name):
        return f"dbhaul {name}" if name in {ours for ours, _ in (*RATIOS, *STORE_BARS)} else name


def against(ratio, bar):
    """What a ratio says of its bar."""
    if bar is None:
        return "with an ANALYZE that the other does not do"
    return f"{'within' if ratio <= bar else 'OVER'} {bar:.2f}"


def main():
    bench = Bench(arguments())
    # pg_dump and the others are found by the path that they are given.
    os.environ["PATH"] = bench.environment["PATH"]
    for number in range(bench.options.rounds):
        bench.round(number)
    bench.report()


main()

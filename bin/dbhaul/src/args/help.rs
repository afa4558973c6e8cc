//! What `--help` says below the flags.

/// Below `dbhaul -?`.
pub(super) const SHORT: &str = "\
Examples:
  dbhaul preflight --source postgres://app@old/shop --target postgres://app@new/shop
  dbhaul migrate   --source postgres://app@old/shop --target postgres://app@new/shop
  dbhaul dump      --source postgres://app@old/shop --store s3://backups/shop
  dbhaul restore   --store s3://backups/shop --target postgres://app@new/shop
  dbhaul verify    --store s3://backups/shop --target postgres://app@new/shop

`dbhaul --help` explains connections and exit codes; `dbhaul COMMAND --help` explains a command.";

/// Below `dbhaul --help`.
pub(super) const LONG: &str = "\
Move a database:
  dbhaul preflight --source postgres://app@old/shop --target postgres://app@new/shop
  dbhaul migrate   --source postgres://app@old/shop --target postgres://app@new/shop

Back it up, restore it, and verify the copy:
  dbhaul dump    --source postgres://app@old/shop --store s3://backups/shop
  dbhaul backup list --store s3://backups/shop
  dbhaul restore --store s3://backups/shop --target postgres://app@new/shop
  dbhaul verify  --store s3://backups/shop --target postgres://app@new/shop

Connections are URIs or key=value strings as psql takes them. What they leave out comes from \
libpq's variables (PGHOST, PGUSER, PGPASSWORD, PGSSLMODE, ...), pg_service.conf and .pgpass.

Exit codes:
    0  done
    1  failed
    2  wrong usage; nothing was touched
    3  finished, but some objects were skipped; each is listed
    4  verification found differences, or could not verify something; `backup check` and
       `backup list` found damage
    5  `preflight` found a blocker (an unreachable server counts); other commands fail with 1 then
  130  interrupted

Environment:
  DBHAUL_SOURCE, DBHAUL_TARGET, DBHAUL_STORE   used where the flag is not given
  DBHAUL_SOURCE_ROLE, DBHAUL_TARGET_ROLE       the same
  DBHAUL_WRITER_KEY, DBHAUL_IDENTITY_FILE,
  DBHAUL_PASSPHRASE_FILE,
  DBHAUL_STORE_FINGERPRINT                     the same, for keys of an encrypted store
  RUST_LOG                                     what to log, instead of -v
  NO_COLOR                                     no colours

Results go to standard output, everything else to standard error. The first Ctrl-C stops \
gracefully, a second one immediately. -? is short help; -h is the host, as with pg_dump.";

/// Below `dbhaul preflight --help`.
pub(super) const PREFLIGHT: &str = "\
Examples:
  dbhaul preflight --source postgres://app@old/shop
  dbhaul preflight --source postgres://app@old/shop --target postgres://app@new/shop
  dbhaul preflight --source postgres://app@old/shop --store s3://backups/shop --json

Ends with 0 if nothing blocks the run, and with 5 if something does; each blocker is listed.";

/// Below `dbhaul dump --help`.
pub(super) const DUMP: &str = "\
Examples:
  dbhaul dump --source postgres://app@db/shop --store /var/backups/shop
  dbhaul dump -h db -U app -d shop --store /var/backups/shop
  dbhaul dump --source postgres://app@db/shop --store 's3://backups/shop?region=eu-central-1' -j 4
  dbhaul dump --source postgres://app@db/shop --store ./store --exclude-table-data 'sales.log*'
  dbhaul dump --source postgres://app@db/shop --store ./store --dry-run
  dbhaul dump --source postgres://app@db/shop --store ./lake --format parquet
  dbhaul dump --source postgres://app@db/shop --format sql --file shop.sql
  dbhaul dump --source postgres://app@db/shop --format sql | gzip > shop.sql.gz; echo ${PIPESTATUS[0]}

A script is complete if its last line says \"PostgreSQL database dump complete\" and dbhaul exited with \
0 or 3. Restore it with `psql -X -v ON_ERROR_STOP=1 -d shop -f shop.sql`.

All sessions read one snapshot. A backup exists once its manifest is written, which is the last step; \
a dump that ends earlier leaves no backup. An empty directory or prefix becomes a store.";

/// Below `dbhaul backup export --help`.
pub(super) const EXPORT: &str = "\
Examples:
  dbhaul backup export --store s3://backups/shop --file shop.sql
  dbhaul backup export 01KG8WM7 --store s3://backups/shop -t orders | psql -X -d shop";

/// Below `dbhaul backup convert --help`.
pub(super) const CONVERT_BACKUP: &str = "\
Examples:
  dbhaul backup convert --store s3://backups/shop --format parquet
  dbhaul backup convert 01KG8WM7 --store s3://backups/shop --format store

The new backup is of the same state of the database and lies in the same store. The old one stays until it is forgotten.";

/// Below `dbhaul export --help`.
pub(super) const EXPORT_ROWS: &str = "\
Examples:
  dbhaul export --source postgres://app@db/shop -t orders -o orders.parquet
  dbhaul export --source postgres://app@db/shop -t shop.orders -o orders.csv.gz
  dbhaul export --source postgres://app@db/shop --query 'SELECT id, total FROM shop.orders' -o - -F jsonl | jq .total

A file has its name only once it is complete. What goes to standard output is complete only if dbhaul exits with 0.";

/// Below `dbhaul import --help`.
pub(super) const IMPORT_ROWS: &str = "\
Examples:
  dbhaul import --target postgres://app@db/shop -t orders orders.parquet
  dbhaul import --target postgres://app@db/shop -t shop.orders orders.csv.gz

Columns are matched by name; columns that the file has not get their defaults. Everything is loaded in one transaction, with \
triggers and constraints as for any INSERT, and an empty search path.";

/// Below `dbhaul backup list --help`.
pub(super) const LIST: &str = "\
Examples:
  dbhaul backup list --store s3://backups/shop
  dbhaul backup list --store s3://backups/shop --max-age 26h

Exits with 1 if --max-age is given and a database has no good backup that is young enough, each named, \
else with 4 if a backup is damaged, else with 0.";

/// Below `dbhaul backup check --help`.
pub(super) const CHECK: &str = "\
Levels, each with those below it:
  0  everything that the backup names is there, with its size, and fits together
  1  the stored bytes of its packs have the hashes that name them
  2  rows decrypted and decompressed, with row counts and digests; needs a private key
     where the store is encrypted
  3  restored into a scratch database on the server of --target, with indexes and
     constraints, compared, and dropped; no database that was there before is touched

Examples:
  dbhaul backup check --store s3://backups/shop
  dbhaul backup check --store s3://backups/shop --all --subset 5%
  dbhaul backup check 01KG8WM7 --store s3://backups/shop --level 2 --identity-file me.txt
  dbhaul backup check --store s3://backups/shop --level 3 --target postgres://spare/postgres

Exits with 0 if all that was looked at is as it was written, with 4 if anything is damaged, each object \
named with what lies in it, and with 1 if a check could not be done or its report not be written.

Each check writes a report into the store, under reports/: `backup list` shows the last, and \
`backup forget --keep-checked` counts only backups that were found good.";

/// Below `dbhaul backup run --help`.
pub(super) const RUN: &str = "\
Examples:
  dbhaul backup run shop
  dbhaul backup run --all --config /etc/dbhaul/dbhaul.toml

A job dumps its database, or all databases whose names match its patterns, checks the new backup, \
forgets what its policy does not keep, and prunes the store. If a step fails, the later ones run all the \
same, but nothing is forgotten of a database whose dump or check failed. The exit code is 1 if any step \
failed, and 3 if a backup lacks objects or another run of the job was active.";

/// Below `dbhaul backup forget --help`.
pub(super) const FORGET: &str = "\
Examples:
  dbhaul backup forget --store s3://backups/shop --keep-daily 7 --keep-weekly 5 --dry-run
  dbhaul backup forget --store s3://backups/shop --keep-last 30
  dbhaul backup forget 01KG8WM7 01KG9A2C --store s3://backups/shop

The policy applies separately to each database of each cluster, and to each selection of its objects. \
It counts from the newest backup, not from today. A backup whose manifest cannot be read, or in which a \
check has found damage, neither counts nor is forgotten, unless it is given. Pinned backups are kept, and \
so is the newest complete one.

Nothing is forgotten if the newest backup holds less than half the rows of one that would be: the \
database may have lost them. --allow-shrunk accepts the newest backup, now and in later runs.

A forgotten backup cannot be restored. `dbhaul backup prune` frees its space.";

/// Below `dbhaul backup prune --help`.
pub(super) const PRUNE: &str = "\
Examples:
  dbhaul backup prune --store s3://backups/shop --dry-run
  dbhaul backup prune --store s3://backups/shop
  dbhaul backup prune --store s3://backups/shop --repack --identity-file me.txt

Backups share packs. A prune marks the packs that no backup needs, and removes those that an \
earlier prune marked at least 23 hours before (--grace-hours): run it every night. Nothing is removed \
while a dump into the store is active, or if the manifest of any backup cannot be read.

A pack of which backups need a part is kept whole. --repack copies what they need of packs that are \
mostly dead into new packs, and lets the backups refer to these; prunes remove the old ones.";

/// Below `dbhaul restore --help`.
pub(super) const RESTORE: &str = "\
Examples:
  createdb -h new -U app shop
  dbhaul restore --store s3://backups/shop --target postgres://app@new/shop
  dbhaul restore --store s3://backups/shop --backup 01KG8WM7 --target postgres://app@new/shop
  dbhaul restore --store s3://backups/shop --target postgres://app@new/postgres --create
  dbhaul restore --store s3://backups/shop --target postgres://app@new/shop --resume

The target must be empty unless --resume, --clean or --allow-non-empty is given. Rows are committed \
together with an entry in a ledger on the target, so that a restore that was interrupted or killed \
can be resumed with --resume, without loss or duplicates.";

/// Below `dbhaul migrate --help`.
pub(super) const MIGRATE: &str = "\
Examples:
  dbhaul migrate --source postgres://app@old/shop --target postgres://app@new/shop
  dbhaul migrate --source postgres://app@old/shop --target postgres://app@new/postgres --create -j 4
  dbhaul migrate --source service=old --target service=new --no-owner --no-privileges
  dbhaul migrate --source service=old --target service=new --report report.json

Afterwards the definitions, the digests of all rows and the sequences of both sides are compared; \
the exit code is 4 if they differ. Changes made on the source meanwhile are not copied: stop \
writing before the final migration.

A migration that was interrupted or killed can be resumed with --resume if its snapshot still exists: \
start it with --hold-snapshot, so that a separate process holds the snapshot. Meanwhile VACUUM on the \
source removes no row that the snapshot sees, and nobody can alter or truncate the source's tables. \
Without --hold-snapshot, --resume works only if nothing was written to the source's cluster since.";

/// Below `dbhaul cleanup --help`.
pub(super) const CLEANUP: &str = "\
Examples:
  dbhaul cleanup --target postgres://app@new/shop
  dbhaul cleanup --source postgres://app@old/shop
  dbhaul cleanup --target postgres://app@new/shop --source postgres://app@old/shop --yes
  dbhaul cleanup --store s3://backups/shop
  dbhaul cleanup --store s3://backups/shop --yes

With --target, removes the ledgers of unfinished runs, and with --source too, ends the sessions that \
hold their snapshots. With --source alone, ends every session that holds a snapshot of that database \
for a run that is not active. Loaded rows stay, but the runs cannot be resumed.

With --store, removes packs and files of Parquet that no backup needs and that are older than 72 hours \
(--grace-hours). Failed dumps leave them behind. For every night there is `dbhaul backup prune`: it removes them too, \
and marks them first, so that whoever reads a backup that was just forgotten can go on.";

/// Below `dbhaul report convert --help`.
pub(super) const CONVERT: &str = "\
The JSON of a report holds everything; the other forms are made of it, and are the same whether they \
are written with it or later. Each states the SHA-256 of the JSON file that it was made of.

Examples:
  dbhaul report convert proof.json proof.html
  dbhaul report convert proof.json proof.md proof.xml";

/// Below `dbhaul verify --help`.
pub(super) const VERIFY: &str = "\
Two sides are compared: a source with a target, or a backup (--store) with one of them.

Examples:
  dbhaul verify --source postgres://app@old/shop --target postgres://app@new/shop
  dbhaul verify --store s3://backups/shop --target postgres://app@new/shop --report report.html
  dbhaul verify --store s3://backups/shop --backup 01KG8WM7 --target service=new --json

Each table is reported as equal, different, or not verified with the reason. Exit code 0 means that \
everything is equal, 4 that something differs or was not verified, 1 that the comparison failed, for \
example because a server cannot be reached or a backup is damaged.";

-- One table holds 90% of the data.
CREATE TABLE event (
    id bigint PRIMARY KEY,
    account integer NOT NULL,
    happened timestamptz NOT NULL,
    amount numeric(12, 2) NOT NULL,
    kind text NOT NULL,
    note text
);
INSERT INTO event
SELECT i, i % 50021, timestamptz '2020-01-01' + i * interval '7 seconds', (i * 7919 % 1000000) / 100.0,
       (ARRAY['view', 'click', 'purchase', 'refund'])[1 + i % 4],
       CASE WHEN i % 3 = 0 THEN md5(i::text) || ' ' || md5((i * 31)::text) END
FROM generate_series(1, (4000000 * :scale)::bigint) i;
CREATE INDEX event_account ON event (account);
SELECT format('CREATE TABLE side_%s AS SELECT id, account, note FROM event WHERE id %% 90 = %s', n, n)
FROM generate_series(1, 10) n \gexec

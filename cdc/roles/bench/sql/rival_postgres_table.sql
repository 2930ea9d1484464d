CREATE UNLOGGED TABLE audit (
    seq bigint NOT NULL, entity text NOT NULL, record_id text NOT NULL, field text NOT NULL, value text,
    changed_at timestamp NOT NULL
);

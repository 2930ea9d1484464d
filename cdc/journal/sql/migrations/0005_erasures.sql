-- What was erased, without what it was. A row an erasure: who asked, when, why, and how many values went.
CREATE TABLE store.erasures (
    erasure_id VARCHAR NOT NULL,
    org VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    record_ids_sha256 VARCHAR[] NOT NULL,   -- salted with the erasure's id: not the ids themselves
    asked_by VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    erased_at TIMESTAMP NOT NULL,
    changes BIGINT NOT NULL,
    "values" BIGINT NOT NULL,
    elsewhere BIGINT NOT NULL,              -- alerts, quarantined events, restore rows and others
    gone_from_log_at TIMESTAMP              -- when the log will have aged it out
);

-- Ordinals of changes that were erased: not held, and not lost.
CREATE TABLE store.erased_ordinals (
    erasure_id VARCHAR NOT NULL,
    first_seq BIGINT NOT NULL,
    last_seq BIGINT NOT NULL
);

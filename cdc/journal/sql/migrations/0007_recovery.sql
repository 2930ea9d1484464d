-- Incidents, restores and drills. The two tables of restores were laid out before there were any.
DROP TABLE store.restores;
DROP TABLE store.restore_records;

CREATE TABLE store.incidents (
    incident_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    org VARCHAR NOT NULL,
    alert_id VARCHAR,                   -- NULL: opened by hand
    title VARCHAR NOT NULL,
    state VARCHAR NOT NULL,             -- open, closed
    scope VARCHAR NOT NULL,             -- JSON: which changes are meant (cdc/recover/scope.py)
    opened_at TIMESTAMP,
    changed_at TIMESTAMP,
    by_whom VARCHAR,
    note VARCHAR,
    contained_at TIMESTAMP              -- what caused it was stopped; NULL: not said
);

CREATE TABLE store.restores (
    restore_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    org VARCHAR NOT NULL,
    incident_id VARCHAR,
    kind VARCHAR NOT NULL,              -- incident, undo, copy
    plan_hash VARCHAR,
    plan_file VARCHAR,
    state VARCHAR NOT NULL,             -- planned, writing, stopped, applied, verified, differs
    user_id VARCHAR,                    -- who writes in the org
    requested_by VARCHAR,
    planned_at TIMESTAMP,
    started_at TIMESTAMP,
    finished_at TIMESTAMP,
    as_of_seq BIGINT,                   -- the last change the plan knew of
    records BIGINT,
    counts VARCHAR NOT NULL,            -- JSON: results by name, API calls planned and made
    reason VARCHAR
);

-- Version 1 of a row is what will be written, journalled before; version 2 what became of it.
CREATE TABLE store.restore_records (
    restore_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    chunk VARCHAR NOT NULL,             -- of one request to the org; rows of a chunk come together
    org VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    record_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,              -- UPDATE, REPARENT (an update too), UNDELETE, CREATE, DELETE
    fields MAP(VARCHAR, VARCHAR),       -- values written
    result VARCHAR NOT NULL,            -- intended, restored, already, conflict, failed …
    error VARCHAR,
    new_record_id VARCHAR,
    written_at TIMESTAMP
);

CREATE TABLE store.drills (
    drill_id VARCHAR NOT NULL,
    org VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,              -- simulated, sandbox
    started_at TIMESTAMP,
    records BIGINT,
    equal BIGINT,
    rto_from_detection_ms BIGINT,
    rto_from_decision_ms BIGINT,
    rpo_ms BIGINT,
    problem VARCHAR NOT NULL            -- empty: good
);

-- See befores.sql, which fills it entity by entity.
CREATE OR REPLACE TEMP TABLE befores (
    entity VARCHAR, record_id VARCHAR, field VARCHAR, before VARCHAR, before_known BOOLEAN, why VARCHAR,
    bad VARCHAR, bad_known BOOLEAN, bad_seq BIGINT, later VARCHAR, later_seq BIGINT, later_user VARCHAR
);

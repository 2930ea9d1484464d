-- A part of a journal that is divided among several writers: what it knows of records that others keep. Which entity a
-- channel was seen to carry, and how many rows of a scan went elsewhere. Empty where one writer keeps everything.
CREATE TABLE store.elsewhere (
    seq BIGINT NOT NULL,                -- the first ordinal that told
    entity VARCHAR,
    channel VARCHAR,
    scan_id VARCHAR,
    rows BIGINT
);

-- Nothing is sealed yet.
CREATE OR REPLACE VIEW store.fields AS FROM store.hot_fields;

CREATE OR REPLACE VIEW store.field_spans AS
SELECT
    *, NULL::TIMESTAMP AS until_at, NULL::BIGINT AS until_place, CASE WHEN known THEN effective_at END AS since_at,
    known AS opens, NULL::BIGINT AS segment
FROM store.hot_fields;

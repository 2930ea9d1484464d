-- Nothing is sealed yet.
CREATE OR REPLACE VIEW store.changes AS FROM store.hot_changes;

CREATE OR REPLACE VIEW store.change_spans AS
SELECT *, NULL::TIMESTAMP AS until_at, NULL::BIGINT AS until_place, effective_at AS since_at, NULL::BIGINT AS segment
FROM store.hot_changes;

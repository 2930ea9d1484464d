-- Nothing is sealed yet.
CREATE OR REPLACE VIEW store.changes AS FROM store.hot_changes;

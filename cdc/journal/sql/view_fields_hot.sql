-- Nothing is sealed yet.
CREATE OR REPLACE VIEW store.fields AS FROM store.hot_fields;

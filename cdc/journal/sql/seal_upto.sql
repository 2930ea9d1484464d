-- The ordinal up to which is sealed so that about `$keep` field changes stay hot; NULL: there are no more.
SELECT max(seq) FROM (SELECT seq FROM store.hot_fields ORDER BY seq DESC OFFSET $keep);

-- A new version of each raw row, with the time at which it could be read.
INSERT INTO store.quarantine
SELECT * REPLACE (make_timestamp($at) AS decoded_at)
FROM store.quarantine
WHERE seq IN (SELECT unnest($seqs))
QUALIFY row_number() OVER (PARTITION BY seq) = 1;

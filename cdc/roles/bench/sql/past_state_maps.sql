-- The public macro, every column read.
SELECT count(*), sum(cardinality(fields)), count(known_since) FROM state_at('Account', TIMESTAMP '2025-07-01');

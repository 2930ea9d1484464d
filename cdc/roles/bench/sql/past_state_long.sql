-- Every record in the middle of the year, a row a field, all of it read.
SELECT count(*), count(value) FROM answer.folded('Account', NULL, NULL, TIMESTAMP '2025-07-01', answer.no_cut());

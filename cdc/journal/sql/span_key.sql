-- One number in the order of folding, as answers use it where no events were lost (cdc/answer/sql/fold_key.sql).
CREATE OR REPLACE MACRO store.span_key(place, rank, seq) AS
    place::HUGEINT * 1000000000000000000 + CASE WHEN rank > 0 THEN rank + 1 ELSE 0 END * 100000000000000000 + seq;

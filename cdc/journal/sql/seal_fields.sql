-- What a segment holds of fields, in its order.
SELECT * FROM store.hot_fields WHERE seq <= $upto ORDER BY entity, record_id, seq, fold_rank, field;

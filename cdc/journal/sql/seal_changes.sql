-- What a segment holds of changes, in its order.
SELECT * FROM store.hot_changes WHERE seq <= $upto ORDER BY entity, record_id, seq, fold_rank;

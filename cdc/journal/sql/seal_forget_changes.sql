DELETE FROM store.hot_changes WHERE seq <= $upto;

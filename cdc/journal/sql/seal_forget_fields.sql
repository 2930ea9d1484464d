DELETE FROM store.hot_fields WHERE seq <= $upto;

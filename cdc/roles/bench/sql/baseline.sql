-- A full read of every record: `fields` values each.
INSERT INTO store.hot_changes
SELECT
    i + 1, 'bench', 'Account', '001' || lpad(i::VARCHAR, 12, '0') || 'AAA', 'BASELINE', TIMESTAMP '2024-06-01',
    TIMESTAMP '2025-01-01', 0, 1, TIMESTAMP '2025-01-01 01:00:00', 'baseline-1', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, 'baseline', [], [], TIMESTAMP '2025-01-01'
FROM range({records}) t(i);

INSERT INTO store.hot_fields
SELECT
    i + 1, 'bench', 'Account', '001' || lpad(i::VARCHAR, 12, '0') || 'AAA', 'Field' || lpad(f::VARCHAR, 2, '0'),
    'value ' || (hash(i, f) % 1000), true, 'BASELINE', TIMESTAMP '2025-01-01', TIMESTAMP '2024-06-01', 0, 1,
    TIMESTAMP '2025-01-01 01:00:00'
FROM range({records}) t(i), range({fields}) u(f);

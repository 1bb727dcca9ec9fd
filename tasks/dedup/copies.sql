-- Of the samples with one key the first stays: smallest index, then smallest id.
--
-- Reads pool, keys. Writes the temporary table `dropped`.
-- Columns: sample_id, detail

CREATE OR REPLACE TEMP TABLE dropped AS
WITH placed AS (
    SELECT
        p.sample_id,
        first_value(p.sample_id) OVER copies AS of,
        row_number() OVER copies AS copy
    FROM pool AS p
    JOIN keys AS k ON k.sample_id = p.sample_id
    WINDOW copies AS (PARTITION BY p.scope, k.key ORDER BY p.place, p.sample_id)
)
SELECT sample_id, json_object('of', of)::VARCHAR AS detail
FROM placed
WHERE copy > 1;

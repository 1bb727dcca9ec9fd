-- How alike each sample and the labelled answer of its prompt are: rows of the check `similarity`.
--
-- The cosine of TF-IDF vectors over character trigrams, an embedding that needs no model: texts that
-- share many rare trigrams are alike. A trigram's weight is its count times ln((1 + N) / (1 + n)) + 1,
-- with n of the round's N texts having it. Texts shorter than three characters are one trigram. Where
-- a prompt has several labelled answers, the most similar one counts; where it has none, its samples
-- have no row.
-- Reads samples. Gives the columns of `scores`, by sample.
-- Parameters:
SET VARIABLE run = 'demo';            -- VARCHAR: the run
SET VARIABLE round = 1;               -- INTEGER: its round
SET VARIABLE policy = 'labelled';     -- VARCHAR: policy_id of the answers that others are compared to

WITH drawn AS (
    SELECT id, prompt_id, trim(text) AS text, policy_id = getvariable('policy') AS is_target
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round') AND status = 'ok'
      AND purpose IN ('train', 'imported') AND role IN ('answer', 'program')
),
counted AS (
    SELECT id, gram, count(*) AS num
    FROM (
        SELECT id, unnest(list_transform(
            range(1, greatest(length(text) - 1, 2)), lambda i: substring(text, i, 3)
        )) AS gram
        FROM drawn
    )
    GROUP BY id, gram
),
rarity AS (
    SELECT gram, ln((1 + (SELECT count(*) FROM drawn)) / (1 + count(*))) + 1 AS idf
    FROM counted
    GROUP BY gram
),
vectors AS (
    SELECT id, gram, num * idf AS x FROM counted JOIN rarity USING (gram)
),
norms AS (
    SELECT id, sqrt(list_sum(list(x * x ORDER BY gram))) AS norm FROM vectors GROUP BY id
),
products AS (
    SELECT s.id, t.id AS target, list_sum(list(a.x * b.x ORDER BY a.gram)) AS product
    FROM drawn AS s
    JOIN drawn AS t ON t.prompt_id = s.prompt_id AND t.is_target
    JOIN vectors AS a ON a.id = s.id
    JOIN vectors AS b ON b.id = t.id AND b.gram = a.gram
    GROUP BY s.id, t.id
),
cosines AS (
    SELECT
        s.id,
        max(least(coalesce(p.product, 0) / (n.norm * m.norm), 1)) AS value
    FROM drawn AS s
    JOIN drawn AS t ON t.prompt_id = s.prompt_id AND t.is_target
    JOIN norms AS n ON n.id = s.id
    JOIN norms AS m ON m.id = t.id
    LEFT JOIN products AS p ON p.id = s.id AND p.target = t.id
    GROUP BY s.id
)
SELECT
    'score-' || left(sha256(json_array(
        'score', getvariable('run'), getvariable('round'), id, 'similarity', '1'
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    id AS sample_id,
    'similarity' AS "check",
    '1' AS version,
    value::DOUBLE AS value,
    NULL::VARCHAR AS label,
    json_object('to', getvariable('policy'))::VARCHAR AS detail,
    'ok' AS status,
    NULL::VARCHAR AS error
FROM cosines
ORDER BY cosines.id;

-- How often each sample would beat the samples of its prompt: rows of the check <name>.
--
-- P(i beats j) comes from a preference:
--   votes   share of i's answer / (share of i's answer + share of j's); 1/2 where both are 0.
--           A sample without an answer has the share 0.
--   scores  sigmoid((s_i - s_j) / scale), s the mean of a sample's scores of a check, as PairRM's
--           scores are read
--   pairs   what a pair judge found, of the check <judge>; pairs without a value are left out
-- A sample's win rate is the mean of P over the samples of its prompt, itself (1/2) included unless
-- with_itself is false. SPPO: arXiv 2405.00675; SPO, without itself: 2401.04056.
-- detail.wins has every P(i beats j) by j. A sample that nothing is known about has no row.
-- Reads samples, scores, votes. Gives the columns of `scores`, by sample.
-- Parameters:
SET VARIABLE run = 'demo';            -- VARCHAR: the run
SET VARIABLE round = 1;               -- INTEGER: its round
SET VARIABLE name = 'win_rate';       -- VARCHAR: the check that is written
SET VARIABLE preference = 'votes';    -- VARCHAR in {votes, scores, pairs}: where P comes from
SET VARIABLE check_name = 'judge';    -- VARCHAR: the check that scores or pairs are read from
SET VARIABLE scale = 1.0;             -- DOUBLE in [0, inf]: scores: difference that is one nat
SET VARIABLE with_itself = TRUE;      -- BOOLEAN: whether a sample meets itself
SET VARIABLE version = '1';           -- VARCHAR: version of the check

WITH drawn AS (
    SELECT id, prompt_id
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round') AND status = 'ok'
      AND purpose IN ('train', 'imported') AND role IN ('answer', 'program')
),
shares AS (
    SELECT d.id, d.prompt_id, coalesce(max(v.share), 0) AS strength
    FROM drawn AS d
    JOIN scores AS a ON a.sample_id = d.id AND a."check" = 'answer' AND a.status = 'ok'
        AND a.run = getvariable('run') AND a.round = getvariable('round')
    LEFT JOIN votes AS v ON v.prompt_id = d.prompt_id AND v.answer = a.label
        AND v.run = getvariable('run') AND v.round = getvariable('round')
    WHERE getvariable('preference') = 'votes'
    GROUP BY d.id, d.prompt_id
),
valued AS (
    SELECT d.id, d.prompt_id, list_avg(list(s.value ORDER BY s.value)) AS strength
    FROM drawn AS d
    JOIN scores AS s ON s.sample_id = d.id AND s."check" = getvariable('check_name')
        AND s.run = getvariable('run') AND s.round = getvariable('round')
        AND s.status = 'ok' AND s.value IS NOT NULL
    WHERE getvariable('preference') = 'scores'
    GROUP BY d.id, d.prompt_id
),
judged AS (
    SELECT s.sample_id AS id, json_extract_string(s.detail, '$.other') AS other, s.value AS p
    FROM scores AS s
    JOIN drawn AS d ON d.id = s.sample_id
    WHERE getvariable('preference') = 'pairs'
      AND s.run = getvariable('run') AND s.round = getvariable('round')
      AND s."check" = getvariable('check_name') AND s.status = 'ok' AND s.value IS NOT NULL
),
met AS (
    SELECT
        i.id,
        j.id AS other,
        CASE WHEN i.strength + j.strength = 0 THEN 0.5
            ELSE i.strength / (i.strength + j.strength) END AS p
    FROM shares AS i
    JOIN shares AS j ON j.prompt_id = i.prompt_id
    UNION ALL
    SELECT i.id, j.id, 1 / (1 + exp((j.strength - i.strength) / getvariable('scale')))
    FROM valued AS i
    JOIN valued AS j ON j.prompt_id = i.prompt_id
    UNION ALL
    SELECT id, other, p FROM judged
    UNION ALL
    SELECT DISTINCT id, id, 0.5 FROM judged
),
rated AS (
    SELECT
        id,
        list_avg(list(p ORDER BY p)) AS value,
        count(*) FILTER (other <> id) AS num_opponents,
        to_json(map_from_entries(
            list({'k': other, 'v': p} ORDER BY other) FILTER (other <> id)
        )) AS wins
    FROM met
    WHERE other <> id OR getvariable('with_itself')
    GROUP BY id
)
SELECT
    'score-' || left(sha256(json_array(
        'score', getvariable('run'), getvariable('round'), id, getvariable('name'),
        getvariable('version')
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    id AS sample_id,
    getvariable('name')::VARCHAR AS "check",
    getvariable('version')::VARCHAR AS version,
    value::DOUBLE AS value,
    NULL::VARCHAR AS label,
    json_object('num_opponents', num_opponents, 'wins', wins)::VARCHAR AS detail,
    'ok' AS status,
    NULL::VARCHAR AS error
FROM rated
ORDER BY rated.id;

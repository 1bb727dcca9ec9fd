-- How near each judgement's score is to where it should be: rows of the check <name>_agreement.
--
-- The value is minus the distance of the score to the target, 0 for a judgement that hits it. Target
-- 'majority': the score that most judgements of the answer give; where two are as frequent there is
-- none (detail.failure = 'no_majority'). Target 'mean': the mean of the answer's scores. Target
-- 'reference': `high` for a right answer, `low` for a wrong one, none where nobody knows
-- (detail.failure = 'no_reference'); it reads scores against references. A row is about the judgement,
-- not about the answer that it judges. Source: Self-Rationalization, 2410.05495, section 2.
-- Reads scores. Gives the columns of `scores`, by sample.
-- Parameters:
SET VARIABLE run = 'demo';         -- VARCHAR: the run
SET VARIABLE round = 1;            -- INTEGER: its round
SET VARIABLE judge = 'judge';      -- VARCHAR: name of the judge
SET VARIABLE judged_by = 'judge';  -- VARCHAR: check of the single judgements
SET VARIABLE target = 'majority';  -- VARCHAR in {majority, mean, reference}: where scores should be
SET VARIABLE low = 0.0;            -- DOUBLE: score of a wrong answer
SET VARIABLE high = 5.0;           -- DOUBLE: score of a right answer

WITH judgements AS (
    SELECT
        json_extract_string(detail, '$.judgement') AS judgement,
        sample_id AS answer,
        version,
        value
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('judged_by') AND status = 'ok' AND value IS NOT NULL
),
counts AS (
    SELECT answer, value, count(*) AS num,
           rank() OVER (PARTITION BY answer ORDER BY count(*) DESC) AS place
    FROM judgements
    GROUP BY answer, value
),
majorities AS (
    SELECT answer, any_value(value) AS target
    FROM counts
    WHERE place = 1
    GROUP BY answer
    HAVING count(*) = 1
),
means AS (
    -- Sorted, so that the sum has the same last bits in every process.
    SELECT answer, list_avg(list(value ORDER BY value)) AS target FROM judgements GROUP BY answer
),
marks AS (
    SELECT
        sample_id AS answer,
        CASE WHEN max(value) >= 1 THEN getvariable('high') ELSE getvariable('low') END AS target
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = 'reference' AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
),
targeted AS (
    SELECT
        j.*,
        CASE getvariable('target')
            WHEN 'majority' THEN m.target
            WHEN 'mean' THEN a.target
            ELSE r.target
        END AS target
    FROM judgements AS j
    LEFT JOIN majorities AS m ON m.answer = j.answer
    LEFT JOIN means AS a ON a.answer = j.answer
    LEFT JOIN marks AS r ON r.answer = j.answer
)
SELECT
    'score-' || left(sha256(json_array(
        'score', getvariable('run'), getvariable('round'), judgement,
        getvariable('judge') || '_agreement', getvariable('target'), version
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    judgement AS sample_id,
    getvariable('judge') || '_agreement' AS "check",
    getvariable('target') || '-' || version AS version,
    -abs(value - target) AS value,
    NULL::VARCHAR AS label,
    CASE WHEN target IS NULL
        THEN json_object('score', value, 'answer', answer, 'failure',
            CASE getvariable('target') WHEN 'reference' THEN 'no_reference' ELSE 'no_majority' END)
        ELSE json_object('score', value, 'answer', answer, 'target', target)
    END::VARCHAR AS detail,
    'ok' AS status,
    NULL::VARCHAR AS error
FROM targeted
ORDER BY answer, judgement;

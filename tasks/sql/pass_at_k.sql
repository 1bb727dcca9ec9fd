-- Unbiased pass@k of a round's samples for k = 1, 2, 4, ...: exploration, as one row per k.
--
-- 1 - C(n - c, k) / C(n, k), mean over the prompts with at least k marked samples (Chen et al. 2021,
-- arXiv 2107.03374, equation 1). Reads references, for monitoring only.
-- Columns: k, value, n (prompts).
-- Parameters:
SET VARIABLE run = 'demo';  -- VARCHAR: the run
SET VARIABLE round = 1;     -- INTEGER: its round

WITH
marked AS (
    SELECT samples.prompt_id, samples.id, max(scores.value) >= 1.0 AS correct
    FROM samples
    JOIN scores ON scores.sample_id = samples.id AND scores.run = samples.run
        AND scores.round = samples.round
    WHERE samples.run = getvariable('run') AND samples.round = getvariable('round')
      AND samples.purpose IN ('train', 'imported') AND samples.role IN ('answer', 'program')
      AND samples.engine <> 'labelled'
      AND scores."check" = 'reference' AND scores.status = 'ok' AND scores.value IS NOT NULL
    GROUP BY samples.prompt_id, samples.id
),
counted AS (
    SELECT prompt_id, count(*) AS n, count(*) FILTER (correct) AS c FROM marked GROUP BY prompt_id
),
sizes AS (
    SELECT (1 << power)::BIGINT AS k FROM range(0, 13) AS powers(power)
    WHERE (1 << power) <= (SELECT max(n) FROM counted)
)
SELECT k,
       avg(1.0 - list_product(list_transform(range(k), lambda i: greatest(n - c - i, 0) / (n - i))))
           AS value,
       count(*) AS n
FROM counted JOIN sizes ON n >= k
GROUP BY k ORDER BY k;

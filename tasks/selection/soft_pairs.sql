-- Preference pairs with the strength that a pair judge saw in each: soft labels (OSP, 2405.14103).
--
-- Samples are ranked by their win rate, the mean of P(this one beats another) over the pairs that
-- the check has an opinion about. A pair is kept if the higher ranked sample wins by at least
-- min_strength; its soft label is P, or 1 with hard_labels, its margin 2 P - 1. pairing says which
-- ranks meet: 'all', the 'best' with all others, 'best_worst' alone, or 'adjacent' ranks. With
-- agree_check both samples need a score of that check, and the winner the higher one (SCIR,
-- 2502.08922: two reward models of one policy agree). A sample without an answer counts, and a program
-- that failed: a judge reads open answers, and nothing but texts.
-- Reasons: duplicate_text (an equal text is ranked), no_opinion (nothing compared it), weak_or_split
-- (no pair of it is strong enough, and agreed on), over_prompt_cap.
--
-- Reads candidates, scores. Writes the temporary tables `judged` and `matches`.
-- Table: pairs
-- References: no
-- After: candidates.sql
-- Before: matched_pairs.sql
-- Columns: sample, reason
-- Parameters:
SET VARIABLE check_name = 'judge';    -- VARCHAR: the check of a pair judge
SET VARIABLE pairing = 'all';    -- VARCHAR in {all, best, best_worst, adjacent}: which ranks meet
SET VARIABLE min_strength = 0.5;      -- DOUBLE in [0.5, 1]: P has to be larger, or equal above 0.5
SET VARIABLE hard_labels = FALSE;     -- BOOLEAN: whether the strength of a kept pair does not count
SET VARIABLE agree_check = '';        -- VARCHAR: a check of samples that has to agree; empty: none
SET VARIABLE max_pairs = 2147483647;  -- INTEGER in [1, inf]: strongest pairs of a prompt

CREATE OR REPLACE TEMP TABLE met AS
SELECT
    hash(sample_id) AS sample,
    hash(json_extract_string(detail, '$.other')) AS other,
    avg(value) AS value
FROM scores
WHERE run = getvariable('run') AND round = getvariable('round')
  AND "check" = getvariable('check_name') AND status = 'ok' AND value IS NOT NULL
GROUP BY ALL;

CREATE OR REPLACE TEMP TABLE ranked AS
WITH usable AS (
    SELECT
        sample,
        prompt,
        text_key,
        pick(sample_id) AS pick,
        CASE
            WHEN reason NOT IN ('no_answer', 'not_checked') AND NOT starts_with(reason, 'execution_')
                THEN reason
        END AS reason
    FROM candidates
),
named AS (
    SELECT
        * EXCLUDE (reason),
        CASE
            WHEN reason IS NOT NULL THEN reason
            WHEN row_number() OVER (
                PARTITION BY prompt, text_key, reason IS NULL ORDER BY pick, sample
            ) > 1 THEN 'duplicate_text'
        END AS reason
    FROM usable
),
rates AS (
    -- Sorted, so that the sum has the same last bits in every process.
    SELECT m.sample, list_avg(list(m.value ORDER BY m.value)) AS rate
    FROM met AS m
    JOIN named AS o ON o.sample = m.other AND o.reason IS NULL
    GROUP BY m.sample
),
agreeing AS (
    SELECT hash(sample_id) AS sample, avg(value) AS reward
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('agree_check') AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
)
SELECT
    n.sample,
    n.prompt,
    a.reward,
    coalesce(n.reason, CASE WHEN r.rate IS NULL THEN 'no_opinion' END) AS reason,
    row_number() OVER (
        PARTITION BY n.prompt, n.reason IS NULL AND r.rate IS NOT NULL
        ORDER BY r.rate DESC, n.pick, n.sample
    ) AS place,
    count(*) OVER (PARTITION BY n.prompt, n.reason IS NULL AND r.rate IS NOT NULL) AS num
FROM named AS n
LEFT JOIN rates AS r ON r.sample = n.sample
LEFT JOIN agreeing AS a ON a.sample = n.sample;

CREATE OR REPLACE TEMP TABLE strong AS
SELECT
    w.prompt,
    m.sample AS chosen,
    m.other AS rejected,
    m.value AS strength,
    row_number() OVER (
        PARTITION BY w.prompt ORDER BY m.value DESC, w.place, l.place
    ) AS place
FROM met AS m
JOIN ranked AS w ON w.sample = m.sample AND w.reason IS NULL
JOIN ranked AS l ON l.sample = m.other AND l.reason IS NULL
WHERE w.place < l.place
  -- The tolerance keeps 0.7 above 0.7 in floating point; at 0.5 a pair says nothing.
  AND m.value > 0.5 + 1e-9 AND m.value + 1e-9 >= getvariable('min_strength')
  AND (getvariable('agree_check') = '' OR coalesce(w.reward > l.reward, FALSE))
  AND CASE getvariable('pairing')
      WHEN 'best' THEN w.place = 1
      WHEN 'best_worst' THEN w.place = 1 AND l.place = l.num
      WHEN 'adjacent' THEN l.place = w.place + 1
      ELSE TRUE
  END;

CREATE OR REPLACE TEMP TABLE matches AS
SELECT
    chosen,
    rejected,
    1.0::DOUBLE AS weight,
    2 * strength - 1 AS margin,
    CASE WHEN getvariable('hard_labels') THEN 1.0 ELSE strength END::DOUBLE AS soft_label
FROM strong
WHERE place <= getvariable('max_pairs');

CREATE OR REPLACE TEMP TABLE judged AS
WITH sides AS (
    SELECT chosen AS sample, place FROM strong
    UNION ALL
    SELECT rejected, place FROM strong
),
places AS (
    SELECT sample, min(place) AS place FROM sides GROUP BY sample
)
SELECT
    r.sample,
    CASE
        WHEN r.reason IS NOT NULL THEN r.reason
        WHEN p.place IS NULL THEN 'weak_or_split'
        WHEN p.place > getvariable('max_pairs') THEN 'over_prompt_cap'
    END AS reason
FROM ranked AS r
LEFT JOIN places AS p ON p.sample = r.sample;

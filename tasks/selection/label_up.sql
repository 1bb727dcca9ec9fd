-- Last step of a selection of labeled rows: chosen samples become good rows, rejected ones bad.
--
-- For KTO (arXiv 2402.01306), which needs no pairs: a prompt may have rows of one side only.
-- Of equal texts of a prompt and side one is used, and at most max_per_side of them.
-- Reasons added here: contradictory_text (the same text was judged both ways), duplicate_text,
-- over_prompt_cap.
--
-- Reads judged (sample, side, weight, reason), candidates, samples, scores, votes, prompts. Writes
-- the temporary table `decisions` (sample, reason: null for a sample that is used) and the temporary
-- view `selected` with the columns of `labels`.
-- Needs: sample, side, weight, reason
-- Parameters, besides run and round (candidates.sql) and max_per_side (the selection):
SET VARIABLE filter = 'selection';  -- VARCHAR: the name of the selection
SET VARIABLE check_name = '';            -- VARCHAR: a check that decided, beside answer and reference

CREATE OR REPLACE TEMP TABLE decisions AS
WITH usable AS (
    SELECT c.sample, c.prompt, c.text_key, j.side, pick(c.sample_id) AS pick
    FROM candidates AS c
    JOIN judged AS j ON j.sample = c.sample
    WHERE j.reason IS NULL
),
copies AS (
    SELECT
        *,
        min(side) OVER (PARTITION BY prompt, text_key)
            <> max(side) OVER (PARTITION BY prompt, text_key) AS is_both,
        row_number() OVER (PARTITION BY prompt, text_key ORDER BY pick, sample) AS copy
    FROM usable
),
named AS (
    SELECT
        * EXCLUDE (is_both, copy),
        CASE
            WHEN is_both THEN 'contradictory_text'
            WHEN copy > 1 THEN 'duplicate_text'
        END AS reason
    FROM copies
),
places AS (
    SELECT
        sample,
        reason,
        row_number() OVER (
            PARTITION BY prompt, side, reason IS NULL ORDER BY pick, sample
        ) AS place
    FROM named
)
SELECT
    j.sample,
    j.side,
    j.weight,
    CASE
        WHEN j.reason IS NOT NULL THEN j.reason
        WHEN p.reason IS NOT NULL THEN p.reason
        WHEN p.place > getvariable('max_per_side') THEN 'over_prompt_cap'
    END AS reason
FROM judged AS j
LEFT JOIN places AS p ON p.sample = j.sample;

CREATE OR REPLACE TEMP VIEW selected AS
WITH used AS (
    SELECT sample, side, weight FROM decisions WHERE reason IS NULL
),
opinions AS (
    SELECT
        u.sample,
        list(o.id ORDER BY o."check", o.id) AS score_ids,
        max(o.label) FILTER (o."check" = 'answer') AS answer
    FROM used AS u
    JOIN scores AS o ON hash(o.sample_id) = u.sample
    WHERE o.run = getvariable('run') AND o.round = getvariable('round')
      AND (o."check" = 'answer'
           OR o."check" = 'reference' AND getvariable('use_references')
           OR o."check" = getvariable('check_name'))
    GROUP BY u.sample
),
ballots AS (
    SELECT id, prompt_id, answer
    FROM votes
    WHERE run = getvariable('run') AND round = getvariable('round')
)
SELECT
    'label-' || left(sha256(json_array(
        'label', getvariable('run'), getvariable('round'), getvariable('filter'), s.id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    s.prompt_id,
    p.messages AS prompt,
    [{'role': 'assistant', 'content': s.text}] AS completion,
    u.side = 'chosen' AS label,
    [s.id] AS sample_ids,
    coalesce(o.score_ids, []) AS score_ids,
    list_filter([v.id], lambda x: x IS NOT NULL) AS vote_ids,
    u.weight
FROM used AS u
JOIN samples AS s ON hash(s.id) = u.sample
JOIN prompts AS p ON p.id = s.prompt_id
LEFT JOIN opinions AS o ON o.sample = u.sample
LEFT JOIN ballots AS v ON v.prompt_id = s.prompt_id AND v.answer = o.answer
WHERE s.run = getvariable('run') AND s.round = getvariable('round')
  AND p.run = getvariable('run') AND p.round = getvariable('round')
ORDER BY s.prompt_id, s.id;

-- Last step of a selection of pairs: the rows of `pairs`, from samples that were matched.
--
-- Reads matches (chosen, rejected, weight, margin, soft_label; chosen_win_rate, rejected_win_rate),
-- decisions (sample, reason), samples, scores, votes, prompts. Writes the temporary table `whole_pairs`
-- and the temporary view `selected` with the columns of `pairs`.
-- Parameters, besides run and round (candidates.sql):
SET VARIABLE filter = 'selection';  -- VARCHAR: the name of the selection
SET VARIABLE check_name = '';            -- VARCHAR: a check that decided, beside answer and reference

ALTER TABLE matches ADD COLUMN IF NOT EXISTS prompt UBIGINT;
ALTER TABLE matches ADD COLUMN IF NOT EXISTS chosen_win_rate DOUBLE;
ALTER TABLE matches ADD COLUMN IF NOT EXISTS rejected_win_rate DOUBLE;

-- From here on rows carry texts, so each join of them is a statement of its own: DuckDB spills one
-- to disk, but several in one query hold more than the memory limit between them.
CREATE OR REPLACE TEMP TABLE texts AS
WITH used AS (
    SELECT sample FROM decisions WHERE reason IS NULL
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
    u.sample,
    s.id,
    s.prompt_id,
    s.text,
    coalesce(o.score_ids, []) AS score_ids,
    list_filter([v.id], lambda x: x IS NOT NULL) AS vote_ids
FROM used AS u
JOIN samples AS s ON hash(s.id) = u.sample
LEFT JOIN opinions AS o ON o.sample = u.sample
LEFT JOIN ballots AS v ON v.prompt_id = s.prompt_id AND v.answer = o.answer
WHERE s.run = getvariable('run') AND s.round = getvariable('round');

CREATE OR REPLACE TEMP TABLE half_pairs AS
SELECT m.* EXCLUDE (prompt, chosen), c.* EXCLUDE (sample)
FROM matches AS m
JOIN texts AS c ON c.sample = m.chosen;

CREATE OR REPLACE TEMP TABLE whole_pairs AS
SELECT
    c.* EXCLUDE (rejected, score_ids, vote_ids),
    r.id AS rejected_id,
    r.text AS rejected_text,
    list_concat(c.score_ids, r.score_ids) AS score_ids,
    list_concat(c.vote_ids, r.vote_ids) AS vote_ids
FROM half_pairs AS c
JOIN texts AS r ON r.sample = c.rejected;

DROP TABLE texts;
DROP TABLE half_pairs;

CREATE OR REPLACE TEMP VIEW selected AS
SELECT
    'pair-' || left(sha256(json_array(
        'pair', getvariable('run'), getvariable('round'), getvariable('filter'), c.id, rejected_id
    )::VARCHAR), 20) AS id,
    getvariable('run')::VARCHAR AS run,
    getvariable('round')::INTEGER AS round,
    c.prompt_id,
    p.messages AS prompt,
    [{'role': 'assistant', 'content': c.text}] AS chosen,
    [{'role': 'assistant', 'content': c.rejected_text}] AS rejected,
    c.weight,
    c.margin,
    c.soft_label,
    c.chosen_win_rate,
    c.rejected_win_rate,
    c.id AS chosen_sample_id,
    c.rejected_id AS rejected_sample_id,
    [c.id, c.rejected_id] AS sample_ids,
    c.score_ids,
    c.vote_ids
FROM whole_pairs AS c
JOIN prompts AS p ON p.id = c.prompt_id
WHERE p.run = getvariable('run') AND p.round = getvariable('round')
ORDER BY c.prompt_id, c.id, c.rejected_id;

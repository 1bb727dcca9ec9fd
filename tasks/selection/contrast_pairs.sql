-- Preference pairs: the labelled answer over samples unlike it (Self-Contrast, arXiv 2404.00604).
--
-- A chosen completion is a sample of chosen_policy. Of the other samples of its prompt the `share`
-- that is least similar to it can be rejected completions, equal texts counted once and never the
-- most similar text; pair_up.sql draws max_pairs of them. The margin is 1 less the similarity of the
-- most similar one of these.
-- Reasons: same_text (as the chosen sample), no_score, too_similar; see pair_up.sql for the rest.
--
-- Reads candidates, samples, scores. Writes the temporary table `judged`.
-- Table: pairs
-- References: no
-- After: candidates.sql
-- Before: pair_up.sql
-- Columns: sample, side, weight, margin, reason
-- Parameters:
SET VARIABLE chosen_policy = 'labelled';  -- VARCHAR: policy_id of the samples that are preferred
SET VARIABLE check_name = 'similarity';   -- VARCHAR: the check that holds similarities
SET VARIABLE share = 0.75;                -- DOUBLE in [0, 1]: of a prompt's samples, the least similar
SET VARIABLE max_pairs = 16;              -- INTEGER in [1, inf]: most pairs of one prompt

CREATE OR REPLACE TEMP TABLE judged AS
WITH likeness AS (
    SELECT hash(sample_id) AS sample, avg(value) AS similarity
    FROM scores
    WHERE run = getvariable('run') AND round = getvariable('round')
      AND "check" = getvariable('check_name') AND status = 'ok' AND value IS NOT NULL
    GROUP BY sample_id
),
sided AS (
    SELECT
        hash(id) AS sample,
        policy_id = getvariable('chosen_policy') AS is_chosen
    FROM samples
    WHERE run = getvariable('run') AND round = getvariable('round')
),
graded AS (
    SELECT
        c.sample,
        c.prompt,
        c.text_key,
        s.is_chosen,
        bool_or(s.is_chosen) OVER (PARTITION BY c.prompt, c.text_key) AS is_chosen_text,
        l.similarity,
        CASE
            WHEN c.reason IN ('no_answer', 'not_checked') OR starts_with(c.reason, 'execution_')
                THEN NULL
            ELSE c.reason
        END AS reason
    FROM candidates AS c
    JOIN sided AS s ON s.sample = c.sample
    LEFT JOIN likeness AS l ON l.sample = c.sample
),
ranked AS (
    SELECT
        sample,
        prompt,
        similarity,
        dense_rank() OVER (PARTITION BY prompt ORDER BY similarity, text_key) AS rank,
        count(*) OVER (PARTITION BY prompt) AS num_samples
    FROM graded
    WHERE reason IS NULL AND NOT is_chosen_text AND similarity IS NOT NULL
),
kept AS (
    SELECT *
    FROM ranked
    QUALIFY rank <= floor(getvariable('share') * num_samples + 1e-9)
        AND rank < max(rank) OVER (PARTITION BY prompt)
),
margins AS (
    SELECT prompt, 1 - max(similarity) AS margin FROM kept GROUP BY prompt
)
SELECT
    g.sample,
    CASE WHEN g.is_chosen THEN 'chosen' ELSE 'rejected' END AS side,
    1.0::DOUBLE AS weight,
    m.margin,
    CASE
        WHEN g.reason IS NOT NULL THEN g.reason
        WHEN g.is_chosen THEN NULL
        WHEN g.is_chosen_text THEN 'same_text'
        WHEN g.similarity IS NULL THEN 'no_score'
        WHEN k.sample IS NULL THEN 'too_similar'
    END AS reason
FROM graded AS g
LEFT JOIN kept AS k ON k.sample = g.sample
LEFT JOIN margins AS m ON m.prompt = g.prompt;

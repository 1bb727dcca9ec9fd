-- Preference pairs at the first wrong step of a wrong answer (Self-Explore, arXiv 2404.10346).
--
-- Samples of role 'rollout' go on with beginnings of wrong answers (tasks/ask/over/wrong_prefixes);
-- sampling.begun_characters says where each begins. The first pit of a wrong answer is its first
-- line after which no rollout is right. Rejected is the answer up to and including that line; chosen
-- is the shortest right rollout from the line before, or, where the very first line is the pit, the
-- right answer that stands against it. Chosen and rejected have everything before the pit in common,
-- where their terms in DPO's loss cancel: the same pairs as with that part in the prompt.
-- Reasons: no_reference, duplicate_text, no_counterpart, over_prompt_cap, rollout_error (an outage
-- left a line without rollouts), same_step (the chosen rollout takes the rejected step), not_needed
-- (a right answer whose counterpart has better rollouts).
--
-- Reads candidates, samples, scores. Writes the temporary tables `judged` and `step_matches`
-- (wrong_id, chosen_id, rejected_text).
-- Table: pairs
-- References: yes
-- After: candidates.sql
-- Before: pair_steps.sql
-- Columns: sample, side, weight, margin, reason
-- Parameters:
SET VARIABLE max_pairs = 1;  -- INTEGER in [1, inf]: most pairs of one prompt, as in wrong_prefixes

CREATE OR REPLACE TEMP TABLE step_marks AS
WITH marked AS (
    SELECT
        s.id,
        s.prompt_id,
        s.text,
        r.value >= 1 AS is_right,
        row_number() OVER (PARTITION BY s.prompt_id, trim(s.text) ORDER BY md5(s.id)) AS copy
    FROM samples AS s
    JOIN scores AS r
        ON r.run = s.run AND r.round = s.round AND r.sample_id = s.id
        AND r."check" = 'reference' AND r.status = 'ok' AND r.value IS NOT NULL
    WHERE s.run = getvariable('run') AND s.round = getvariable('round') AND s.purpose = 'train'
      AND s.role IN ('answer', 'program') AND s.turn = 0 AND s.status = 'ok'
)
SELECT
    *,
    row_number() OVER (PARTITION BY prompt_id, is_right ORDER BY md5(id)) AS place,
    count(*) FILTER (is_right) OVER (PARTITION BY prompt_id) AS num_right,
    count(*) FILTER (NOT is_right) OVER (PARTITION BY prompt_id) AS num_wrong
FROM marked
WHERE copy = 1;

-- One row per beginning of a wrong answer; `best` is its shortest right rollout.
CREATE OR REPLACE TEMP TABLE step_beginnings AS
WITH rollouts AS (
    SELECT
        s.id,
        s.parent_ids[1] AS wrong_id,
        json_extract(s.sampling, '$.begun_characters')::INTEGER AS begun,
        s.text,
        coalesce(r.value >= 1, FALSE) AS is_right,
        s.status = 'ok' AND r.status = 'ok' AS is_known
    FROM samples AS s
    LEFT JOIN scores AS r
        ON r.run = s.run AND r.round = s.round AND r.sample_id = s.id AND r."check" = 'reference'
    WHERE s.run = getvariable('run') AND s.round = getvariable('round') AND s.role = 'rollout'
)
SELECT
    wrong_id,
    begun,
    bool_or(is_right AND is_known) AS is_recovered,
    bool_or(is_known) AS is_known,
    arg_min(id, (length(text), id)) FILTER (is_right AND is_known) AS best,
    row_number() OVER (PARTITION BY wrong_id ORDER BY begun) AS step
FROM rollouts
GROUP BY wrong_id, begun;

CREATE OR REPLACE TEMP TABLE step_matches AS
WITH pits AS (
    SELECT
        wrong_id,
        min(step) FILTER (NOT is_recovered) AS pit,
        max(step) AS num_steps,
        bool_and(is_known) AS is_known
    FROM step_beginnings
    GROUP BY wrong_id
),
paired AS (
    SELECT
        w.id AS wrong_id,
        w.text,
        coalesce(p.pit, coalesce(p.num_steps, 0) + 1) AS pit,
        coalesce(p.is_known, TRUE) AS is_known,
        c.id AS right_id
    FROM step_marks AS w
    JOIN step_marks AS c ON c.prompt_id = w.prompt_id AND c.is_right AND c.place = w.place
    LEFT JOIN pits AS p ON p.wrong_id = w.id
    WHERE NOT w.is_right AND w.place <= getvariable('max_pairs')
),
found AS (
    SELECT
        m.wrong_id,
        m.is_known,
        CASE m.pit WHEN 1 THEN m.right_id ELSE earlier.best END AS chosen_id,
        coalesce(left(m.text, reached.begun), m.text) AS rejected_text
    FROM paired AS m
    LEFT JOIN step_beginnings AS reached
        ON reached.wrong_id = m.wrong_id AND reached.step = m.pit
    LEFT JOIN step_beginnings AS earlier
        ON earlier.wrong_id = m.wrong_id AND earlier.step = m.pit - 1
)
SELECT
    f.wrong_id,
    f.chosen_id,
    f.rejected_text,
    CASE
        WHEN NOT f.is_known THEN 'rollout_error'
        WHEN starts_with(s.text, trim(f.rejected_text)) THEN 'same_step'
    END AS reason
FROM found AS f
LEFT JOIN samples AS s
    ON s.run = getvariable('run') AND s.round = getvariable('round') AND s.id = f.chosen_id
-- What dedup or a filter dropped is in no pair.
SEMI JOIN (SELECT sample_id FROM candidates WHERE reason IS NULL OR reason = 'no_answer'
           OR (starts_with(reason, 'execution_'))) AS c ON c.sample_id = f.wrong_id;

DELETE FROM step_matches
WHERE chosen_id IN (SELECT id FROM step_marks)
  AND chosen_id NOT IN (SELECT sample_id FROM candidates WHERE reason IS NULL);

CREATE OR REPLACE TEMP TABLE judged AS
SELECT
    c.sample,
    CASE WHEN k.is_right THEN 'chosen' ELSE 'rejected' END AS side,
    1.0::DOUBLE AS weight,
    1.0::DOUBLE AS margin,
    CASE
        WHEN w.wrong_id IS NOT NULL THEN w.reason
        WHEN r.chosen_id IS NOT NULL THEN NULL
        WHEN c.reason IS NOT NULL THEN c.reason
        WHEN c.reference IS NULL THEN 'no_reference'
        WHEN k.id IS NULL THEN 'duplicate_text'
        WHEN k.num_right = 0 OR k.num_wrong = 0 THEN 'no_counterpart'
        WHEN k.place > least(k.num_right, k.num_wrong, getvariable('max_pairs'))
            THEN 'over_prompt_cap'
        ELSE 'not_needed'
    END AS reason
FROM candidates AS c
LEFT JOIN step_marks AS k ON k.id = c.sample_id
LEFT JOIN step_matches AS w ON w.wrong_id = c.sample_id
LEFT JOIN (SELECT chosen_id FROM step_matches WHERE reason IS NULL) AS r
    ON r.chosen_id = c.sample_id;

-- Right programs, and wrong ones with a right one after each, the likeliest first (ENVISIONS, 2406.11736).
--
-- A program's reward is 1 or 0 by the reference; among equal ones the soft reward decides, the mean
-- log-probability of its tokens. With learn = 'right' the `most` right texts of a prompt are learned
-- as answers. With learn = 'corrected' the i-th wrong text is shown, and the i-th right one is
-- learned, for `most` pairs. Programs of every role count: first ones, and those that refine others.
-- Reasons: wrong_answer, no_reference, duplicate_text, not_among_top; with 'corrected' rows that are
-- no pair are left out.
--
-- Reads own, graded, prompts.
-- References: yes
-- Columns: prompt_id, sample_ids, completion, weight, reason, messages, problem, answer
-- Parameters:
SET VARIABLE learn = 'right';  -- VARCHAR in {right, corrected}: what is learned
SET VARIABLE most = 10;        -- INTEGER in [1, inf]: most examples of one prompt

WITH graded_texts AS (
    SELECT
        s.id,
        s.prompt_id,
        s.text,
        g.reference,
        row_number() OVER (
            PARTITION BY s.prompt_id, s.text, g.reference ORDER BY s.mean_logprob DESC, pick(s.id), s.id
        ) AS copy,
        s.mean_logprob
    FROM own AS s
    LEFT JOIN graded AS g ON g.sample_id = s.id
    WHERE s.role IN ('answer', 'program', 'refinement') AND s.status = 'ok'
),
ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY prompt_id, reference, copy = 1 ORDER BY mean_logprob DESC, pick(id), id
        ) AS place
    FROM graded_texts
),
told AS (
    SELECT
        prompt_id,
        [id] AS sample_ids,
        text AS completion,
        CASE
            WHEN reference IS NULL THEN 'no_reference'
            WHEN reference < 1 THEN 'wrong_answer'
            WHEN copy > 1 THEN 'duplicate_text'
            WHEN place > getvariable('most') THEN 'not_among_top'
        END AS reason,
        NULL::VARCHAR AS answer
    FROM ranked
    WHERE getvariable('learn') = 'right'
    UNION ALL
    SELECT r.prompt_id, [w.id, r.id], r.text, NULL, w.text
    FROM ranked AS r
    JOIN ranked AS w ON w.prompt_id = r.prompt_id AND w.place = r.place
    WHERE getvariable('learn') = 'corrected'
      AND r.reference >= 1 AND r.copy = 1 AND w.reference < 1 AND w.copy = 1
      AND r.place <= getvariable('most')
)
SELECT
    t.prompt_id,
    t.sample_ids,
    t.completion,
    1.0::DOUBLE AS weight,
    t.reason,
    p.messages,
    p.messages[-1].content AS problem,
    t.answer
FROM told AS t
JOIN prompts AS p ON p.run = getvariable('run') AND p.round = getvariable('round')
    AND p.id = t.prompt_id

-- A few samples of each given round, one for every verdict and outcome, to show how the text looks.
--
-- Columns: round, sample_id, prompt (last user message), text, answer, reference, verdict, stdout,
--          share (vote share of the answer, 0 to 1), correct, selected, reason (of a rejection).
-- Parameters (edit and run the whole file by hand; the report sets its own values):
SET VARIABLE run = 'demo';     -- VARCHAR: the run
SET VARIABLE rounds = '1';     -- VARCHAR: round numbers, separated by commas
SET VARIABLE per_round = 4;    -- INTEGER in [1, inf]: most samples of one round

WITH
drawn AS (
    SELECT * FROM samples
    WHERE run = getvariable('run') AND list_contains(string_split(getvariable('rounds'), ','), round::VARCHAR)
      AND purpose IN ('train', 'imported') AND role IN ('answer', 'program')
),
answers AS (
    SELECT sample_id, any_value(label) AS answer FROM scores
    WHERE run = getvariable('run') AND list_contains(string_split(getvariable('rounds'), ','), round::VARCHAR) AND "check" = 'answer' AND status = 'ok'
    GROUP BY sample_id
),
marks AS (
    SELECT sample_id, max(value) >= 1.0 AS correct FROM scores
    WHERE run = getvariable('run') AND list_contains(string_split(getvariable('rounds'), ','), round::VARCHAR) AND "check" = 'reference'
      AND status = 'ok'
    GROUP BY sample_id
),
runs AS (
    SELECT sample_id, any_value(verdict ORDER BY id) AS verdict, any_value(stdout ORDER BY id) AS stdout
    FROM executions WHERE run = getvariable('run') AND list_contains(string_split(getvariable('rounds'), ','), round::VARCHAR) AND len(test_ids) = 0 GROUP BY sample_id
),
chosen AS (
    SELECT unnest(sample_ids) AS sample_id FROM examples
    WHERE run = getvariable('run') AND list_contains(string_split(getvariable('rounds'), ','), round::VARCHAR)
    UNION
    SELECT chosen_sample_id FROM pairs WHERE run = getvariable('run') AND list_contains(string_split(getvariable('rounds'), ','), round::VARCHAR)
    UNION
    SELECT rejected_sample_id FROM pairs WHERE run = getvariable('run') AND list_contains(string_split(getvariable('rounds'), ','), round::VARCHAR)
),
dropped AS (
    SELECT row_id, min(reason) AS reason FROM rejections
    WHERE run = getvariable('run') AND list_contains(string_split(getvariable('rounds'), ','), round::VARCHAR) AND row_table = 'samples' GROUP BY row_id
),
questions AS (
    SELECT id, any_value(messages[-1].content) AS prompt, any_value(reference) AS reference
    FROM prompts WHERE run = getvariable('run') AND id IN (SELECT prompt_id FROM drawn) GROUP BY id
),
shown AS (
    SELECT drawn.round, drawn.id AS sample_id, drawn.prompt_id, drawn.text, answers.answer,
           runs.verdict, runs.stdout, marks.correct, chosen.sample_id IS NOT NULL AS selected,
           dropped.reason,
           row_number() OVER (
               PARTITION BY drawn.round, coalesce(runs.verdict, drawn.finish_reason), marks.correct,
                            chosen.sample_id IS NOT NULL
               ORDER BY drawn.id
           ) AS place
    FROM drawn
    LEFT JOIN answers ON answers.sample_id = drawn.id
    LEFT JOIN marks ON marks.sample_id = drawn.id
    LEFT JOIN runs ON runs.sample_id = drawn.id
    LEFT JOIN chosen ON chosen.sample_id = drawn.id
    LEFT JOIN dropped ON dropped.row_id = drawn.id
)
SELECT shown.round, shown.sample_id, questions.prompt, shown.text, shown.answer, questions.reference,
       shown.verdict, shown.stdout,
       votes.count / nullif(votes.num_samples, 0)::DOUBLE AS share,
       shown.correct, shown.selected, shown.reason
FROM shown
LEFT JOIN questions ON questions.id = shown.prompt_id
LEFT JOIN votes
    ON votes.run = getvariable('run') AND votes.round = shown.round AND votes.prompt_id = shown.prompt_id
   AND votes.answer = shown.answer
QUALIFY row_number() OVER (
    PARTITION BY shown.round ORDER BY place, selected DESC, shown.sample_id
) <= getvariable('per_round')
ORDER BY shown.round, selected DESC, place, shown.sample_id;

"""Variants of tests that ``make test`` leaves to ``make bench``.

Each costs seconds, and differs from a variant that stays in one setting only: another acquisition
function, device order, kind of kill, or precision.
"""

import re

LEFT_TO_BENCH = re.compile(
    "|".join(
        (
            r"test_protocol\.py::test_(vmap_over|pools_hold).*\[bo-(ei|ucb|own|one)\]",
            r"test_simulation\.py::test_one_compiled.*\[(weight_only|retrain_only|cem_pi|rwr|fb_vae"
            r"|cem_pi_reference)\]",
            r"test_sweep\.py::test_a_killed_sweep.*\[[1-3]\]",
            r"test_process\.py::test_programs_on_a_cpu.*\[2-1-2\]",
            r"test_lock\.py::test_a_budget_that.*\[True-on the host\]",
            r"test_study_engine\.py::test_an_open_study_goes_on.*\[told\]",
            r"test_same_settings\.py::test_an_objective_that_counts.*\[(list|attribute|instance)\]",
            r"test_growing\.py::test_a_run_that_grew.*\[(10|8)-20\]",
            r"test_growing\.py::test_a_run_moves.*\[4-16\]",
            r"test_gradient\.py::test_following_gradients.*\[data_ascent-regressor\]",
            r"test_kernels\.py::test_derivatives_where_points.*\[4-.*float64\]",
            r"test_candidates\.py::test_the_rest_of_a_pool.*\[(2|6)-[13]\]",
            r"test_maximize\.py::test_no_array_of_a_trace.*\[closure\]",
            r"test_resume\.py::test_resume_ends_with.*\[[12]\]",
            r"test_resume\.py::test_a_run_that_was_killed_while.*\[an empty log\]",
            r"test_flow\.py::test_the_inverse_is_the_inverse.*\[3\]",
            r"test_strict\.py::test_a_simulation_relies_on_no_promotion"
            r".*\[(latent_ascent|data_ascent|generator).*64 bits\]",
            r"test_public_loop\.py::test_a_run_retrains_with_the_optimizer.*\[adamw\]",
            r"test_own_functions\.py::test_weights_that_do_not_sum.*\[split\]",
        )
    )
)
"""Node ids, as pytest writes them."""

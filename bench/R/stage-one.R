# Times lm, glm and coxph on the columns that bench/src/stage-one.ts wrote; prints JSON.
# Arguments: file of doubles, number of rows.
suppressPackageStartupMessages({library(survival); library(jsonlite)})
a <- commandArgs(TRUE); n <- as.integer(a[2])
con <- file(a[1], "rb")
names <- c("one", "treatment", "age", "sex", "sbp", "bmi", "smoker", "diabetes", "continuous", "binary", "time", "event")
d <- as.data.frame(setNames(lapply(names, function(x) readBin(con, "double", n)), names)); close(con)
best <- function(f, times) min(vapply(seq_len(times), function(i) { gc(); system.time(f())[["elapsed"]] }, 0))
x <- "treatment + age + sex + sbp + bmi + smoker + diabetes"
fo <- function(y) as.formula(paste(y, "~", x))
out <- list(
  lm = list(seconds = best(function() lm(fo("continuous"), d), 3), estimate = coef(lm(fo("continuous"), d))[["treatment"]]),
  glm = list(seconds = best(function() glm(fo("binary"), binomial, d), 2), estimate = coef(glm(fo("binary"), binomial, d))[["treatment"]]),
  coxph = list(seconds = best(function() coxph(fo("Surv(time, event)"), d, ties = "efron"), 2),
               estimate = coef(coxph(fo("Surv(time, event)"), d, ties = "efron"))[["treatment"]]))
cat(toJSON(list(R = R.version.string, survival = as.character(packageVersion("survival")), fits = out), digits = NA, auto_unbox = TRUE))

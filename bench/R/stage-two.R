# Times metafor's rma (REML, knha) for k studies read as JSON from a file; prints JSON.
suppressPackageStartupMessages({library(metafor); library(jsonlite)})
sets <- fromJSON(commandArgs(TRUE)[1], simplifyDataFrame = FALSE, simplifyMatrix = FALSE)
time <- function(s, times) {
  yi <- s$yi; sei <- s$sei
  f <- function() rma(yi, sei = sei, method = "REML", test = "knha")
  f()
  seconds <- system.time(for (i in seq_len(times)) f())[["elapsed"]] / times
  list(seconds = seconds, estimate = as.numeric(coef(f())))
}
cat(toJSON(list(metafor = as.character(packageVersion("metafor")), sets = lapply(sets, function(s) time(s, if (length(s$yi) > 100) 2 else 100))), digits = NA, auto_unbox = TRUE))

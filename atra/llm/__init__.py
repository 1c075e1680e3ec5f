"""Language models behind one small protocol: doors to their servers, prices, budgets and the ledger of every call."""

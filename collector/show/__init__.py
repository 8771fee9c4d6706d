"""What people see: log lines, progress, summary, plan. It reads what others made, and decides nothing."""

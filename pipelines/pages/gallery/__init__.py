"""The gallery's page: what of a data set it shows, and the HTML, CSS and JavaScript that show it."""

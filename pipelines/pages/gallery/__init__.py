"""The gallery's page: the parts of a data set that it shows, and the HTML, CSS and JavaScript that show them."""

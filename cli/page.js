'use strict';

/*
 * The drawings, the search and the single records of a page that closewait report made: one script,
 * of which this file is the first part, and the Makefile has the others (PAGE_JS). Whatever comes
 * from a record becomes text, never HTML.
 */

const data = JSON.parse(document.getElementById('data').textContent);
const numbers = new Intl.NumberFormat('en');
const byId = id => document.getElementById(id);

function element(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {}))
        made.setAttribute(name, value);
    made.append(...children);
    return made;
}

function drawing(tag, attributes, ...children) {
    const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const [name, value] of Object.entries(attributes || {}))
        made.setAttribute(name, value);
    made.append(...children);
    return made;
}

function timeOf(ms) {
    const date = new Date(ms);
    return isNaN(date) ? '?' : date.toISOString().replace('T', ' ').replace(/\.\d+Z$/, '');
}

function durationOf(ms) {
    const seconds = ms / 1000;
    if (seconds < 60)
        return seconds.toFixed(1) + ' s';
    const units = seconds < 3600 ? [60, 1, 'm', 's'] : seconds < 86400 ? [3600, 60, 'h', 'm'] : [86400, 3600, 'd', 'h'];
    const whole = Math.floor(seconds / units[0]);
    const rest = Math.floor(seconds % units[0] / units[1]);
    return whole + units[2] + String(rest).padStart(2, '0') + units[3];
}

const countOf = (number, one, many) => numbers.format(number) + ' ' + (number === 1 ? one : many);
